"""Words of the Denoising lab."""

from __future__ import annotations

EN: dict[str, str] = {
    "denoising_tab": "Denoising",
    "denoising_intro": "One generation, every step of it kept: look at any of them, take its guidance apart, and let it "
    "take another way from the middle.",
    "walked_title": "### One generation, kept",
    "walked_text": "This is what the Generate tab does, with DDIM: noise $x_T$ first, then in each step the network says "
    "which noise $\\epsilon$ it sees, which gives an estimate $\\hat x_0$ of the finished latent, and the sampler goes "
    "a little of the way there. Question and answer of every step are kept for the panels below.\n\n"
    "The strip shows $\\hat x_0$, not $x_t$: what the picture would be if the model had to decide now. Look at what is "
    "settled first and what last.",
    "walked_ask": "Predict first: what is settled first, colour, outline or detail?",
    "walked_answer": "Large patches of colour, then the outline, then detail: at high noise only what covers many "
    "positions stands out from it. The last steps hardly move anything.",
    "walked_run": "Run and keep every step",
    "walked_frame": "x̂₀, step {i}",
    "walked_picture": "The picture",
    "walked_done": "{n} steps kept, seed {seed}. The panels below show this run.",
    "fault_no_walk": "Run a generation first: the panel “One generation, kept” has the button.",
    "scrub_title": "### Any step of it",
    "scrub_text": "Upper row: latents decoded. $x_t$ is what the network is shown, $\\hat x_0$ what it believes is behind "
    "it, $\\epsilon$ the noise that it believes was added; "
    "$x_t = \\sqrt{\\bar\\alpha_t}\\,\\hat x_0 + \\sqrt{1-\\bar\\alpha_t}\\,\\epsilon$ holds exactly in every step. "
    "Lower row: the four channels of the same latents, red above zero, blue below.\n\n"
    "Moving the slider asks the network nothing: it only decodes what was kept.",
    "scrub_ask": "Predict first: in which step does the estimate change most?",
    "scrub_answer": "The plot's sentence tells. It is early as a rule: the first estimates are a mean over all pictures "
    "that the prompt allows, blurred for that reason, and the decisions among them fall in the first third.",
    "step_label": "Step",
    "step_info": "1 is the noisiest; shared by the panels of this tab.",
    "scrub_x": "x_t, decoded",
    "scrub_x0": "x̂₀, decoded",
    "scrub_eps": "ε, decoded",
    "scrub_change": "Change of x̂₀ (lightest: {most})",
    "channels_x": "x_t, channels",
    "channels_x0": "x̂₀, channels",
    "channels_eps": "ε, channels",
    "channels_change": "x_t less x_t of the step before",
    "scrub_plot": "How far a step moves",
    "scrub_summary": "x̂₀ moves most in step {i}: {most} RMS.",
    "scrub_at": "Step {i} of {n}, t = {t}.",
    "anatomy_title": "### What guidance does",
    "anatomy_text": "The network is asked twice in each step, once with the prompt and once with none. Guidance goes beyond "
    "the answer with the prompt, away from the one without: $\\epsilon = \\epsilon_u + s\\,(\\epsilon_c - \\epsilon_u)$. "
    "Here are the pictures that either answer alone would lead to, and the length of their difference at each position.\n\n"
    "The two answers differ by little, and the scale s multiplies that little. Look at where the difference lies: on what "
    "the prompt names.",
    "anatomy_ask": "Predict first: when does the prompt matter most, early or late?",
    "anatomy_answer": "At both ends, if the difference has the shape of a bowl. At high noise both answers are nearly the "
    "noise itself, and yet the little between them decides the layout; in the last steps it only sharpens. Compare with a "
    "prompt that says almost nothing, such as “a”.",
    "term_uncond": "without the prompt, ε_u",
    "term_cond": "with the prompt, ε_c",
    "term_mixed": "after guidance",
    "term_difference": "difference, ε_c − ε_u",
    "anatomy_norm": "‖ε_c − ε_u‖ (lightest: {most})",
    "anatomy_plot": "The two terms and their difference",
    "anatomy_summary": "The two answers are furthest apart in step {i} of {n}: {most} RMS.",
    "fault_no_guidance": "At guidance scale 1 the network is asked only with the prompt: there is nothing to take apart. "
    "Run again with another scale.",
    "etas_title": "### The same noise, more and more of it",
    "etas_text": "With $\\eta > 0$ each step adds fresh noise. Here the kept prompt and seed are run at five values of "
    "$\\eta$ with the same draws: the noise of step 3 at $\\eta = 0.5$ is half that at $\\eta = 1$, not other noise. So "
    "the pictures differ by the amount alone.\n\n"
    "At $\\eta = 0$ the seed decides everything; at 1 this is the DDPM sampler's own amount.",
    "etas_ask": "Predict first: will the picture at η = 0.25 be nearer to that at 0 or to that at 1?",
    "etas_answer": "To that at 0, nearly always, and the plot says by how much. Raise the number of steps and run again: with many "
    "steps the pieces of noise are small and later steps repair what they spoil.",
    "etas_run": "Run at five etas",
    "etas_plot": "Distance of x̂₀ from that at η = 0",
    "etas_summary": "At η = 1 the last estimate is {last} RMS away from that at η = 0.",
    "fork_title": "### Another way from the middle",
    "fork_text": "The branch repeats the kept answers of the steps before k, so that it stands exactly where the trunk stood, and "
    "from step k on it asks for itself: with another prompt, another guidance scale or another eta, over the same "
    "noise.\n\n"
    "With nothing changed the branch is the trunk, to the last bit. Change the prompt and move k: an early fork makes "
    "another picture, a late one cannot.",
    "fork_ask": "Predict first: until which step can a new prompt still change the shape?",
    "fork_answer": "Move k through the run and read how far apart the two end. The outline soon lies in $x_t$ itself; from "
    "then on a new prompt recolours what is there, and towards the end it does not even do that.",
    "fork_step_label": "Fork before step k",
    "fork_step_info": "The first step that the branch asks for itself.",
    "fork_prompt_label": "Prompt of the branch",
    "fork_prompt_info": "Left empty: the trunk's.",
    "fork_run": "Fork",
    "fork_trunk": "Trunk",
    "fork_branch": "Branch",
    "fork_difference": "Difference (lightest: {most})",
    "fork_plot": "Distance between branch and trunk",
    "fork_summary": "The same up to step {k}; the latents end {end} RMS apart.",
    "fault_fork": "The fork must lie in step 1…{n}, not {k}.",
    "inversion_title": "### From a picture back to its noise",
    "inversion_text": "At $\\eta = 0$ a DDIM step is a formula that can be run backwards, so a picture has a noise that leads to it. "
    "Backwards, though, $\\epsilon$ is needed at the noisier end and is only known at the other; taking it from there is "
    "wrong by a little in each step, and there and back shows by how much.\n\n"
    "Each further question in a step solves for the noisier end. No guidance here: it multiplies the error.",
    "inversion_ask": "Predict first: what halves the error, twice the steps or one more question a step?",
    "inversion_answer": "Try both at the same cost: 20 steps with one further question against 40 with none. Then look at the "
    "noise's standard deviation: far from 1 it is not noise the model would ever have started from.",
    "inversion_prompt_info": "What the picture shows; may be empty.",
    "inversion_steps_info": "Of the way back, and again of the way down.",
    "refine_label": "Further questions a step",
    "refine_info": "0: plain DDIM inversion.",
    "inversion_run": "Invert",
    "inversion_original": "The picture, by the autoencoder",
    "inversion_noise": "Its noise, decoded",
    "inversion_back": "There and back",
    "inversion_plot": "The way down against the way up",
    "inversion_summary": "The latent comes back with an error of {error} RMS, PSNR {psnr} dB against the autoencoder's picture. "
    "Standard deviation of the noise: {std}.",
}

ZH: dict[str, str] = {
    "denoising_tab": "去噪",
    "denoising_intro": "留下一次生成的每一步：可以查看任意一步，拆开其中的引导，也可以从中途改走另一条路。",
    "walked_title": "### 留下一次生成",
    "walked_text": "这里做的与“生成”页相同，采样器是 DDIM：先有噪声 $x_T$，然后每一步由网络指出它看到的噪声 $\\epsilon$，由此得到"
    "最终潜变量的估计 $\\hat x_0$，采样器再朝它走一小段。每一步的问与答都保留下来，供下面各栏使用。\n\n"
    "这一排画的是 $\\hat x_0$ 而不是 $x_t$：假如模型此刻就必须决定，画面会是什么样。请看什么先定下来，什么最后才定。",
    "walked_ask": "先猜一猜：颜色、轮廓、细节，哪个先定下来？",
    "walked_answer": "先是大块的颜色，再是轮廓，最后是细节：噪声很强时，只有占据许多位置的东西才显得出来。最后几步几乎不再改变什么。",
    "walked_run": "运行并保留每一步",
    "walked_frame": "x̂₀，第 {i} 步",
    "walked_picture": "成图",
    "walked_done": "已保留 {n} 步，种子 {seed}。下面各栏显示的就是这一次。",
    "fault_no_walk": "请先运行一次生成：按钮在“留下一次生成”一栏。",
    "scrub_title": "### 其中任意一步",
    "scrub_text": "上排是解码后的画面：$x_t$ 是网络看到的，$\\hat x_0$ 是它认为藏在后面的画面，$\\epsilon$ 是它认为被加上去的噪声；"
    "每一步都严格满足 $x_t = \\sqrt{\\bar\\alpha_t}\\,\\hat x_0 + \\sqrt{1-\\bar\\alpha_t}\\,\\epsilon$。"
    "下排是同样这些潜变量的四个通道，红色大于零，蓝色小于零。\n\n"
    "移动滑块不会再询问网络，只是把保留下来的内容解码。",
    "scrub_ask": "先猜一猜：估计值在哪一步变化最大？",
    "scrub_answer": "图下那句话给出答案，通常很早：最初的估计是提示词所允许的全部图像的平均，所以模糊；在它们之间作出取舍，"
    "大多发生在前三分之一。",
    "step_label": "第几步",
    "step_info": "第 1 步噪声最强；本页各栏共用。",
    "scrub_x": "x_t，解码后",
    "scrub_x0": "x̂₀，解码后",
    "scrub_eps": "ε，解码后",
    "scrub_change": "x̂₀ 的变化（最亮处：{most}）",
    "channels_x": "x_t 的各通道",
    "channels_x0": "x̂₀ 的各通道",
    "channels_eps": "ε 的各通道",
    "channels_change": "x_t 与上一步之差",
    "scrub_plot": "每一步走了多远",
    "scrub_summary": "x̂₀ 在第 {i} 步变化最大：RMS 为 {most}。",
    "scrub_at": "第 {i} 步，共 {n} 步，t = {t}。",
    "anatomy_title": "### 引导做了什么",
    "anatomy_text": "每一步要问网络两次，一次带提示词，一次不带。引导沿着“远离不带提示词的回答”的方向，越过带提示词的回答："
    "$\\epsilon = \\epsilon_u + s\\,(\\epsilon_c - \\epsilon_u)$。这里画出两种回答各自通向的画面，以及两者之差在每个位置的长度。\n\n"
    "两种回答相差很小，引导强度 s 把这一点差别放大。请看差别落在哪里：正是提示词所说的东西。",
    "anatomy_ask": "先猜一猜：提示词在早期重要，还是在后期重要？",
    "anatomy_answer": "如果差值曲线像一只碗，那就是两头都重要。噪声强时两种回答几乎就是噪声本身，但其间的一点差别决定了构图；"
    "最后几步的差别只是让画面更清晰。再换一个几乎什么也没说的提示词（如 “a”）比一比。",
    "term_uncond": "不带提示词 ε_u",
    "term_cond": "带提示词 ε_c",
    "term_mixed": "引导之后",
    "term_difference": "两者之差 ε_c − ε_u",
    "anatomy_norm": "‖ε_c − ε_u‖（最亮处：{most}）",
    "anatomy_plot": "两种回答及其差",
    "anatomy_summary": "两种回答在第 {i} 步相差最大（共 {n} 步）：RMS 为 {most}。",
    "fault_no_guidance": "引导强度为 1 时只带着提示词问一次，没有可以拆开的东西。请换一个强度再运行。",
    "etas_title": "### 同样的噪声，越加越多",
    "etas_text": "$\\eta > 0$ 时每一步都加入新噪声。这里用保留下来的提示词和种子，在五个 $\\eta$ 值下各运行一次，抽到的噪声相同："
    "$\\eta = 0.5$ 时第 3 步的噪声是 $\\eta = 1$ 时的一半，而不是另一份噪声。所以画面的差别只来自噪声的多少。\n\n"
    "$\\eta = 0$ 时一切由种子决定；$\\eta = 1$ 时噪声量与 DDPM 采样器相同。",
    "etas_ask": "先猜一猜：η = 0.25 的画面更接近 0 的，还是更接近 1 的？",
    "etas_answer": "几乎总是更接近 0 的，图上可以读出接近多少。把步数加大再运行：步数多时每一份噪声都小，后面的步子能把它弄坏的地方修好。",
    "etas_run": "在五个 η 下运行",
    "etas_plot": "x̂₀ 与 η = 0 时的距离",
    "etas_summary": "η = 1 时，最后的估计与 η = 0 时相距 {last}（RMS）。",
    "fork_title": "### 从中途改走另一条路",
    "fork_text": "分支先重放第 k 步之前保留下来的回答，于是恰好站在主干当时所在的位置；从第 k 步起它自己提问：可以换提示词、"
    "换引导强度或换 η，噪声不变。\n\n"
    "什么都不改时，分支与主干逐位相同。换一个提示词再移动 k：早分叉会得到另一幅画，晚分叉则不能。",
    "fork_ask": "先猜一猜：到第几步为止，新的提示词还能改变形状？",
    "fork_answer": "把 k 从头移到尾，读一读两者最后相距多远。轮廓很快就在 $x_t$ 里了，此后新的提示词只能给已有的东西换颜色，"
    "到最后连颜色也换不动。",
    "fork_step_label": "在第 k 步之前分叉",
    "fork_step_info": "分支自己提问的第一步。",
    "fork_prompt_label": "分支的提示词",
    "fork_prompt_info": "留空则与主干相同。",
    "fork_run": "分叉",
    "fork_trunk": "主干",
    "fork_branch": "分支",
    "fork_difference": "差别（最亮处：{most}）",
    "fork_plot": "分支与主干的距离",
    "fork_summary": "第 {k} 步之前完全相同；最后两个潜变量相距 {end}（RMS）。",
    "fault_fork": "分叉必须在第 1…{n} 步，而不是第 {k} 步。",
    "inversion_title": "### 从画面回到它的噪声",
    "inversion_text": "$\\eta = 0$ 时，DDIM 的一步是可以倒着算的公式，所以每幅画都有一份通向它的噪声。但倒着走时需要的是更嘈杂那一端的 "
    "$\\epsilon$，已知的却是另一端的；拿来代替，每一步都差一点，走一个来回就看得出差多少。\n\n"
    "每步多问一次，就是在求更嘈杂那一端的解。这里不用引导：它会放大误差。",
    "inversion_ask": "先猜一猜：步数加倍，或者每步多问一次，哪个能让误差减半？",
    "inversion_answer": "用同样的代价比一比：20 步、每步多问一次，与 40 步、不多问。再看噪声的标准差：如果离 1 很远，它就不是模型会从中"
    "出发的噪声。",
    "inversion_prompt_info": "画面里有什么；可以留空。",
    "inversion_steps_info": "倒着走的步数，走回来也是这么多。",
    "refine_label": "每步多问几次",
    "refine_info": "0：普通的 DDIM 反演。",
    "inversion_run": "反演",
    "inversion_original": "原画（经自编码器）",
    "inversion_noise": "它的噪声，解码后",
    "inversion_back": "走一个来回",
    "inversion_plot": "回程与去程之间",
    "inversion_summary": "走一个来回后潜变量的误差为 {error}（RMS），与自编码器的画面相比 PSNR {psnr} dB。噪声的标准差：{std}。",
}
