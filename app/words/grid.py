"""Words of the Grid lab."""

from __future__ import annotations

EN: dict[str, str] = {
    "grid_tab": "Grid",
    "grid_intro": "One picture for every combination of two or three settings, side by side on one sheet.",
    "sheet_title": "### Change two things at once",
    "sheet_text": "X runs along the columns, Y down the rows; each value of Z gets a sheet of its own beside the others. All that "
    "is on no axis is the same in every cell, the seed included. A cell is made like any picture of the Generate tab, by the "
    "same queue: equal settings give the same picture, down to the pixel.\n\n"
    "Prompt words: the first word is looked for in the prompt, the others take its place (“apple, pear, star”). Sampling "
    "schedules: uniform, quad and trailing are grids of steps on the model's own noise; linear, cosine, sqrt_linear and sqrt "
    "are other noise levels, each asked for at the trained t that has it (DDIM only). The PNG carries base settings and axes.",
    "sheet_ask": "Predict first: from which number of steps on do the columns stop changing, and does guidance move that place?",
    "sheet_answer": "Large shapes settle within a few steps; what still changes later is detail. Stronger guidance bends the path "
    "more, so that the columns agree later. Put eta on Z: with fresh noise in every step, more steps are another picture, "
    "not a better one.",
    "sheet_run": "Fill grid",
    "axis_x": "X axis",
    "axis_y": "Y axis",
    "axis_z": "Z axis",
    "values_x": "X values",
    "values_y": "Y values",
    "values_z": "Z values",
    "values_info": "Between commas.",
    "axis_none": "none",
    "axis_schedule": "Sampling schedule",
    "axis_words": "Prompt words",
    "sheet_estimate": "{size} = {cells} cells (at most {most}), {steps} steps together.",
    "sheet_at": "Cell {cell} of {cells} · {left} left",
    "sheet_queued": "Cell {cell} of {cells} waits: place {position} in the queue",
    "sheet_done": "{cells} cells in {seconds}",
    "sheet_stopped": "Stopped: {filled} of {cells} cells are filled.",
    "sheet_alt": "Grid over {axes}; {filled} of {cells} cells filled",
    "grid_no_axes": "Choose at least one axis.",
    "grid_no_axis": "{axis}: there is nothing named {name} to change.",
    "grid_empty": "{axis}: type at least one value; several stand between commas.",
    "grid_not_number": "{axis}: {field} must be a number, not {value}.",
    "grid_too_many": "{cells} cells are too many; at most {most} are allowed, so take fewer values.",
    "grid_twice": "{field} stands on two axes; an axis needs a setting of its own.",
    "grid_no_schedule": "There is no sampling schedule {name}; choose from {names}.",
    "grid_needs_ddim": "The sampling schedule {name} can only be walked by the sampler ddim, not by {sampler}.",
    "grid_no_word": "{axis}: the prompt does not contain “{word}”, so there is nothing to replace.",
}

ZH: dict[str, str] = {
    "grid_tab": "网格",
    "grid_intro": "把两三个设置的每种组合各画一幅，并排放在一张图上。",
    "sheet_title": "### 同时改变两样",
    "sheet_text": "X 沿列变化，Y 沿行变化；Z 的每个值另有一张，并排放置。不在轴上的设置在每一格都相同，种子也一样。每一格都和“生成”页"
    "一样经过同一个队列：设置相同，图像就逐像素相同。\n\n"
    "提示词中的词：在提示词里查找第一个词，用其余的词逐一替换（“apple, pear, star”）。采样日程：uniform、quad、trailing "
    "是在模型自己的噪声上取步；linear、cosine、sqrt_linear、sqrt 是别的噪声水平，每个都换算成训练时噪声相同的 t（只能用 DDIM）。"
    "下载的 PNG 带有基本设置和各轴。",
    "sheet_ask": "先猜一猜：从多少步起各列不再变化？引导强度会移动这个位置吗？",
    "sheet_answer": "大的形状几步之内就定下来；之后还在变的是细节。引导越强，路径弯得越厉害，各列要更晚才一致。把 eta 放到 Z 轴："
    "每步都有新噪声时，步数更多得到的是另一幅图，而不是更好的图。",
    "sheet_run": "填满网格",
    "axis_x": "X 轴",
    "axis_y": "Y 轴",
    "axis_z": "Z 轴",
    "values_x": "X 的值",
    "values_y": "Y 的值",
    "values_z": "Z 的值",
    "values_info": "用逗号隔开。",
    "axis_none": "无",
    "axis_schedule": "采样日程",
    "axis_words": "提示词中的词",
    "sheet_estimate": "{size} = {cells} 格（最多 {most} 格），共 {steps} 步。",
    "sheet_at": "第 {cell}/{cells} 格 · 还需 {left}",
    "sheet_queued": "第 {cell}/{cells} 格排队中：第 {position} 位",
    "sheet_done": "{cells} 格，用时 {seconds}",
    "sheet_stopped": "已停止：{cells} 格中完成了 {filled} 格。",
    "sheet_alt": "网格：{axes}；{cells} 格中完成了 {filled} 格",
    "grid_no_axes": "请至少选择一条轴。",
    "grid_no_axis": "{axis}：没有名为 {name} 的设置。",
    "grid_empty": "{axis}：请至少输入一个值，多个值用逗号隔开。",
    "grid_not_number": "{axis}：{field}必须是数字，不能是{value}。",
    "grid_too_many": "{cells} 格太多，最多 {most} 格；请减少取值。",
    "grid_twice": "{field}出现在两条轴上；每条轴要用不同的设置。",
    "grid_no_schedule": "没有名为 {name} 的采样日程；可选：{names}。",
    "grid_needs_ddim": "采样日程 {name} 只能用采样器 ddim，不能用 {sampler}。",
    "grid_no_word": "{axis}：提示词里没有“{word}”，无从替换。",
}
