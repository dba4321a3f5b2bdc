"""Words of the Architecture lab."""

from __future__ import annotations

EN: dict[str, str] = {
    "architecture_tab": "Architecture",
    "architecture_intro": "The loaded model, block by block, with its real shapes.",
    "blocks_title": "### What it is made of",
    "blocks_text": "Names are those of the checkpoint. Shapes are of one picture at the chosen size; parameters do not depend on the "
    "size, the work does. Convolutions grow with the number of positions, self-attention with its square.\n\n"
    "The UNet runs once per step, twice where guidance is on; encoder and decoder run once per picture. That is why the latent "
    "is small and the UNet may be large.\n\n"
    "A condition can enter the UNet at five places, named by `conditioning_key`: nowhere (none), as further input channels "
    "(concat), as keys and values of the cross-attention (crossattn: text, as here), both (hybrid), or added to the timestep's "
    "embedding (adm: a class).",
    "blocks_ask": "Predict first: you double width and height. Does the UNet's work grow fourfold?",
    "blocks_answer": "A little more than fourfold: convolutions grow exactly fourfold, the attention among positions sixteenfold.",
    "part_label": "Part",
    "part_text": "text encoder",
    "part_unet": "UNet",
    "part_encoder": "encoder",
    "part_decoder": "decoder",
    "column_block": "block",
    "column_kind": "made of",
    "column_shape": "output shape",
    "column_parameters": "parameters",
    "column_flops": "FLOPs",
    "column_where": "where",
    "column_what": "what happens",
    "axis_block": "block, in the order they run",
    "cost_plot": "Work per block",
    "cost_summary": "{parameters} M parameters, {flops} GFLOP a pass; the most expensive block is {name}.",
    "no_such_part": "The loaded model has no such part.",
    "path_title": "### The path of one prompt",
    "path_text": "Seven modules, in this order, make the picture; each is a file you can read in one sitting.\n\n"
    "Only two of them know what the picture is about: the text encoder, once, and the UNet's cross-attention, at every step.",
    "path_ask": "Predict first: how many numbers does the sampler work on?",
    "path_answer": "One latent: with 4×16×16 that is 1,024 numbers, for 49,152 numbers of the picture.",
    "path_ids": "the prompt becomes token ids: {ids} …",
    "path_context": "ids become vectors, one a position",
    "path_noise": "the seed becomes noise",
    "path_steps": "the sampler walks from noise to a latent, asking at every step",
    "path_unet": "the answer to each question ({word}-prediction)",
    "path_decode": "the latent becomes pixels",
    "path_png": "pixels become a file that carries its settings",
}

ZH: dict[str, str] = {
    "architecture_tab": "结构",
    "architecture_intro": "当前模型逐块展开，形状都是真实的。",
    "blocks_title": "### 由什么组成",
    "blocks_text": "名称就是权重文件里的名称。形状对应所选尺寸的一幅图；参数量与尺寸无关，计算量有关。卷积随位置数增长，"
    "自注意力随其平方增长。\n\n"
    "UNet 每步运行一次，开启引导时两次；编码器和解码器每幅图只运行一次。所以潜变量要小，而 UNet 可以大。\n\n"
    "条件可以从五处进入 UNet，由 `conditioning_key` 指定：不进入（none）、作为额外输入通道（concat）、作为交叉注意力的键和值"
    "（crossattn，即这里的文字）、两者都有（hybrid）、或加到时间步嵌入上（adm，类别）。",
    "blocks_ask": "先猜一猜：宽和高都加倍，UNet 的计算量是四倍吗？",
    "blocks_answer": "比四倍略多：卷积恰好四倍，位置之间的注意力是十六倍。",
    "part_label": "部分",
    "part_text": "文本编码器",
    "part_unet": "UNet",
    "part_encoder": "编码器",
    "part_decoder": "解码器",
    "column_block": "模块",
    "column_kind": "组成",
    "column_shape": "输出形状",
    "column_parameters": "参数量",
    "column_flops": "浮点运算",
    "column_where": "位置",
    "column_what": "发生什么",
    "axis_block": "模块，按运行顺序",
    "cost_plot": "各模块的计算量",
    "cost_summary": "{parameters} 百万参数，一次前向 {flops} GFLOP；最贵的模块是 {name}。",
    "no_such_part": "当前模型没有这一部分。",
    "path_title": "### 一个提示词的路径",
    "path_text": "七个模块依次生成图像，每个都是一次就能读完的文件。\n\n"
    "其中只有两个知道画的是什么：文本编码器（一次）和 UNet 的交叉注意力（每一步）。",
    "path_ask": "先猜一猜：采样器处理多少个数？",
    "path_answer": "一个潜变量：4×16×16 共 1,024 个数，而图像有 49,152 个数。",
    "path_ids": "提示词变成词元编号：{ids} ……",
    "path_context": "编号变成向量，每个位置一个",
    "path_noise": "种子变成噪声",
    "path_steps": "采样器从噪声走到潜变量，每步询问一次",
    "path_unet": "对每次询问的回答（预测 {word}）",
    "path_decode": "潜变量变成像素",
    "path_png": "像素变成带有设置的文件",
}
