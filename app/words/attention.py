"""Words of the Attention lab."""

from __future__ import annotations

EN: dict[str, str] = {
    "attention_tab": "Attention",
    "attention_intro": "Text enters the picture by cross-attention: each position asks, each token of the prompt offers an "
    "answer. Here is who looks where.",
    "read_title": "### A generation to ask about",
    "read_text": "Choose a prompt with two or three things in it. Every step's $x_t$ is kept; the maps below are made from it on "
    "demand, by asking the network again. While a picture is made nobody looks: recording the maps would need an explicit "
    "softmax, which is slower and larger than what the network really runs.\n\n"
    "The question asked again is the conditional one alone, the one that sees the prompt.",
    "read_ask": "Predict first: which words will be looked at in the background?",
    "read_answer": "Mostly none of them: positions with nothing to ask rest on the start token or on the padding. Words of "
    "style and background (“on a blue background”) are looked at from more places than names of things.",
    "read_run": "Run and keep every step",
    "heat_title": "### Which positions look at which word",
    "heat_text": "In each layer and head a position's query is compared with every token's key, "
    "$A = \\mathrm{softmax}(QK^\\top/\\sqrt d)$: for each position numbers that sum to 1 over the tokens. The map of a token "
    "shows, over the picture, how large its number is; light is high.\n\n"
    "The start token, the end and the padding are tokens too. They take the larger part, and after the causal text encoder "
    "the end has read the whole prompt: it often looks like the picture's outline.",
    "heat_ask": "Predict first: does every head do the same?",
    "heat_answer": "No. Go through the heads of one layer: some point at the thing, some at its edge, some rest on the start "
    "token or the padding and do nothing. That is why the mean over heads is so pale.",
    "token_label": "Token",
    "token_info": "As the tokenizer cuts the prompt.",
    "token_start": "[start]",
    "token_end": "[end]",
    "token_padding": "[padding]",
    "layer_label": "Layer",
    "layer_info": "Where in the UNet, and how many positions there are.",
    "head_label": "Head",
    "head_info": "One of them, or their mean.",
    "all_layers": "mean over all layers",
    "all_heads": "mean over all heads",
    "heat_over": "“{token}” over the picture",
    "heat_alone": "The map itself (lightest: {most})",
    "heat_plot": "Share of each token",
    "heat_summary": "“{token}” gets most, {share} on average over the positions. Tokens by number: {legend}.",
    "axis_token": "token, by number",
    "axis_share": "share of attention",
    "fault_no_text": "The loaded model has no text encoder: there are no tokens to look at.",
    "listening_title": "### Which word is listened to when",
    "listening_text": "The same shares for every step of the generation, for the layer and head chosen above. Only the "
    "prompt's own pieces are drawn: start, end and padding would outshine them, and the sentence says how much they take.\n\n"
    "Each column is one question asked again; early steps stand on the left.",
    "listening_ask": "Predict first: are words listened to equally long?",
    "listening_answer": "Compare the rows of a thing, its colour and the style. A row that fades to the right is needed for the "
    "layout, one that grows is needed for detail.",
    "listening_run": "Ask at every step",
    "listening_plot": "Share of each token over the steps",
    "listening_summary": "“{token}” gains most: from {first} in the first step to {last} in the last. Start, end and "
    "padding together take {rest} on average. Tokens by number: {legend}.",
}

ZH: dict[str, str] = {
    "attention_tab": "注意力",
    "attention_intro": "文字通过交叉注意力进入画面：每个位置提问，提示词的每个词元给出回答。这里看得到谁在看哪里。",
    "read_title": "### 先生成一幅画",
    "read_text": "请选一句含有两三样东西的提示词。每一步的 $x_t$ 都会保留，下面的图需要时再询问网络一次得到。生成画面时并不记录注意力："
    "记录要用显式的 softmax，比网络实际运行的方式更慢、更占内存。\n\n"
    "重新提的只是带提示词的那一问，因为只有它看得到提示词。",
    "read_ask": "先猜一猜：背景处会看哪些词？",
    "read_answer": "大多哪个都不看：没有什么要问的位置停留在起始词元或填充上。表示风格和背景的词（“on a blue background”）比表示物体的词"
    "被更大的范围看到。",
    "read_run": "运行并保留每一步",
    "heat_title": "### 哪些位置在看哪个词",
    "heat_text": "在每一层、每一个头里，一个位置的查询与所有词元的键相比较，$A = \\mathrm{softmax}(QK^\\top/\\sqrt d)$：每个位置得到一组"
    "对词元求和为 1 的数。一个词元的图，就是这个数在画面各处的大小，越亮越大。\n\n"
    "起始、结束和填充也是词元，而且占去较大的一部分；文本编码器是因果的，结束词元读过整句提示词，所以它的图常常像画面的轮廓。",
    "heat_ask": "先猜一猜：各个头做的事情一样吗？",
    "heat_answer": "不一样。逐个看同一层的各个头：有的指向物体，有的指向边缘，有的停在起始词元或填充上什么也不做。所以各头的平均看起来很淡。",
    "token_label": "词元",
    "token_info": "分词器切分提示词的结果。",
    "token_start": "［起始］",
    "token_end": "［结束］",
    "token_padding": "［填充］",
    "layer_label": "层",
    "layer_info": "在 UNet 的什么地方，有多少个位置。",
    "head_label": "头",
    "head_info": "其中一个，或者平均。",
    "all_layers": "所有层的平均",
    "all_heads": "所有头的平均",
    "heat_over": "“{token}”叠在画面上",
    "heat_alone": "图本身（最亮处：{most}）",
    "heat_plot": "各词元所占的份额",
    "heat_summary": "“{token}”得到最多，各位置平均为 {share}。词元编号：{legend}。",
    "axis_token": "词元编号",
    "axis_share": "注意力份额",
    "fault_no_text": "当前模型没有文本编码器，没有词元可看。",
    "listening_title": "### 哪个词在什么时候被听取",
    "listening_text": "同样的份额，画出生成过程的每一步，层与头用上面所选的。图中只画提示词自己的各段：起始、结束和填充会盖过它们，其份额由那句话说明。\n\n"
    "每一列都是重新提的一问，左边是早期的步。",
    "listening_ask": "先猜一猜：每个词被听取的时间一样长吗？",
    "listening_answer": "比较物体、它的颜色和风格各自的那一行。向右变暗的，用于构图；向右变亮的，用于细节。",
    "listening_run": "每一步都问一次",
    "listening_plot": "各词元的份额随步数的变化",
    "listening_summary": "“{token}”增加最多：从第一步的 {first} 到最后一步的 {last}。起始、结束和填充平均共占 {rest}。词元编号：{legend}。",
}
