"""Words of the Architecture lab."""

from __future__ import annotations

EN: dict[str, str] = {
    "architecture_tab": "Architecture",
    "architecture_intro": "The loaded model, block by block, with its real shapes.",
    "blocks_title": "### What it is made of",
    "blocks_text": "Names are those of the checkpoint. Shapes are of one picture at the chosen size; parameters do not depend on the "
    "size, the work does. Convolutions grow with the number of positions, self-attention with its square.\n\n"
    "The UNet runs once per step, twice where guidance is on; encoder and decoder run once per picture. That is why the latent "
    "is small and the UNet may be large. In the drawing a box is a block, darker where more work is; dashed lines are the skip connections, "
    "and “context” stands where cross-attention reads the prompt.",
    "blocks_ask": "Predict first: you double width and height. Does the UNet's work grow fourfold?",
    "blocks_answer": "A little more than fourfold: convolutions grow exactly fourfold, the attention among positions sixteenfold.",
    "drawing_label": "Drawing of the blocks: {part}",
    "doors_title": "### Five ways to be told something",
    "doors_text": "A condition can enter the UNet at five places, named by `conditioning_key`. For each key a UNet of the loaded one's geometry is built "
    "and compared with one that is told nothing: listed are the weights it has beyond that, or in another shape.\n\n"
    "The timestep is no condition in this sense: every network gets it, in each of its residual blocks.",
    "doors_ask": "Predict first: a drawing to colour in, a class out of ten, a sentence. Which key for which?",
    "doors_answer": "concat, adm, crossattn: what lies on the same grid goes in beside the latent, one name for the whole picture goes where the timestep goes, and a "
    "sequence whose parts belong to different places needs attention.",
    "doors_note": "Weights by which a condition enters.",
    "door_loaded": "{name} (loaded)",
    "door_none": "nothing: pictures of whatever was learned",
    "door_concat": "pictures of the latent's size, as further input channels",
    "door_crossattn": "a sequence of vectors (text), as keys and values of the cross-attention",
    "door_hybrid": "both of them at once",
    "door_adm": "a class, added to the timestep's embedding",
    "column_key": "conditioning_key",
    "column_count": "weights",
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
    "UNet 每步运行一次，开启引导时两次；编码器和解码器每幅图只运行一次。所以潜变量要小，而 UNet 可以大。图中一个方框是一个模块，计算越多颜色越深；"
    "虚线是跳跃连接，写着 context 的模块用交叉注意力读提示词。",
    "blocks_ask": "先猜一猜：宽和高都加倍，UNet 的计算量是四倍吗？",
    "blocks_answer": "比四倍略多：卷积恰好四倍，位置之间的注意力是十六倍。",
    "drawing_label": "模块图：{part}",
    "doors_title": "### 告诉模型的五种方式",
    "doors_text": "条件可以从五处进入 UNet，由 `conditioning_key` 指定。对每一种，都按当前模型的尺寸造一个 UNet，与什么也不告诉的那个相比："
    "表中列出它多出来的、或形状不同的权重。\n\n"
    "时间步不算这种条件：每个网络都会得到它，而且在每个残差块里都得到。",
    "doors_ask": "先猜一猜：一幅待上色的线稿、十类中的一类、一句话，各该用哪一种？",
    "doors_answer": "concat、adm、crossattn：与潜变量同一网格的东西就和它并排进入；整幅画只有一个名称，就从时间步那里进入；各部分对应画面不同位置的"
    "序列，则需要注意力。",
    "doors_note": "条件由哪些权重进入。",
    "door_loaded": "{name}（当前模型）",
    "door_none": "什么也不告诉：画出学过的任何东西",
    "door_concat": "与潜变量同样大小的图，作为额外的输入通道",
    "door_crossattn": "一列向量（文字），作为交叉注意力的键和值",
    "door_hybrid": "以上两者同时",
    "door_adm": "类别，加到时间步的嵌入上",
    "column_key": "conditioning_key",
    "column_count": "权重数",
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
