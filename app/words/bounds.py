"""Words of the Lower bound lab."""

from __future__ import annotations

EN: dict[str, str] = {
    "bounds_tab": "Lower bound",
    "bounds_intro": "A diffusion model is trained on one squared error per timestep. How much each of them counts is a choice; "
    "likelihood makes one, the published code another, and the loss that everybody uses a third.",
    "weights_title": "### What the bound asks for, and what was published",
    "weights_text": "The variational bound of $-\\log p(x_0)$ is a sum of one squared error per timestep, each with a weight. "
    "For an error in the noise the weight is $\\beta_t^2 / (2\\sigma_t^2\\alpha_t(1-\\bar\\alpha_t))$. The network may as well "
    "say the picture or v; the errors are proportional, so the weights are the same ones in another currency: "
    "$\\mathrm{SNR}\\,w_\\epsilon$ for x₀, which with v = 0 is $\\frac12(\\mathrm{SNR}(t-1) - \\mathrm{SNR}(t))$, and "
    "$\\bar\\alpha_t\\,w_\\epsilon$ for v.\n\n"
    "The published code has $\\frac12\\sqrt{\\bar\\alpha_t}/(2\\cdot 1 - \\bar\\alpha_t)$ for x₀: another quantity, hardly "
    "changing where the true weight falls by many powers of ten. It is the default here too, because checkpoints were trained "
    "with it; the true one stands beside it.",
    "weights_ask": "Predict first: which timesteps does likelihood care about most?",
    "weights_answer": "The first few. The bound pays for every bit of the picture, and fine detail, which is decided where there is "
    "hardly any noise, holds most of the bits. Set v to 1: σ² grows at small t only, and so the weights fall only there.",
    "forms_label": "Error measured in",
    "form_eps": "ε (bound)",
    "form_x0": "x₀ (bound)",
    "form_x0_published": "x₀ (published)",
    "form_v": "v (bound)",
    "kind_label": "Schedule",
    "weights_plot": "Weight of the squared error in the lower bound",
    "published_ratio": "The true weight of x₀ is {first} times the published one at t = 1 and {last} times at the end.",
    "published_equal": "They meet at t = {t}.",
    "fault_no_form": "Choose at least one weight.",
    "first_title": "### The first weight",
    "first_text": "At t = 0 the posterior's variance is 0: with $x_0$ known there is nothing left to guess about the step before "
    "it. The formula divides by that variance, so the first weight is infinite. The published code takes $w_1$ for "
    "it, and so does this project.\n\n"
    "With v > 0 the variance is $v\\,\\beta_0$ and the formula finite: $1/(2v\\alpha_0)$. The first weight is replaced all the "
    "same. In the bound itself no such term exists: its last link is the likelihood of the pixels given $x_1$.",
    "first_ask": "Predict first: is there a v at which the formula gives less at t = 0 than is used?",
    "first_answer": "No. Move v up from 0: the dot comes down as $1/(2v\\alpha_0)$ and stops at ½. What is used comes down too: "
    "$w_1$ is about ½ at v = 0 and ¼ at v = 1 on “linear”, for by then the noise of two steps stands under it and only "
    "one of them above.",
    "shared_controls": "v and the schedule are those at the top of this tab.",
    "first_plot": "The first eps weights",
    "first_used": "as used",
    "first_formula": "by the formula",
    "first_infinite": "By the formula the weight at t = 0 is infinite.",
    "first_finite": "By the formula the weight at t = 0 is {first}.",
    "first_summary": "Used is w[1] = {used}.",
    "objectives_title": "### The losses that are used",
    "objectives_text": "“Simple” losses weigh every timestep alike, but alike in what? An error of 1 in $x_0$ is "
    "$\\sqrt{\\mathrm{SNR}}$ in ε and $\\sqrt{\\mathrm{SNR}+1}$ in v. So a simple loss on ε is not the simple loss on $x_0$: "
    "choose one currency on the left and see what each of them pays for the same error. Min-SNR pays as the loss on ε "
    "does where noise is strong, and never more than γ.\n\n"
    "The second plot adds the weights up from t = 0. Where it crosses ½ lies half of the loss, if the error were the same "
    "everywhere. It is not: the Losses tab shows the real error by timestep.",
    "objectives_ask": "Predict first: measured in x₀, half of the loss on ε lies below which t?",
    "objectives_answer": "Below the first ten or so: SNR is enormous there. The loss on v pays 1 more at every t, which moves its half "
    "only a little. Now lower γ: half of min-SNR moves to the right, for detail may no longer cost more than γ.",
    "losses_label": "Losses",
    "objective_bound": "the lower bound",
    "objective_eps": "the simple loss on ε",
    "objective_x0": "the simple loss on x₀",
    "objective_v": "the simple loss on v",
    "objective_min_snr": "min-SNR",
    "measured_label": "Currency",
    "measured_info": "In what the error is measured.",
    "measured_eps": "ε",
    "measured_x0": "x₀",
    "measured_v": "v",
    "gamma_label": "γ",
    "gamma_info": "The most that min-SNR pays for an error in x₀.",
    "paid_plot": "What a loss pays for an error in {measured}",
    "share_plot": "Share of all weight up to t",
    "axis_share_t": "share up to t",
    "half_below": "half of the weight of {name} lies below t = {t}",
    "fault_no_loss": "Choose at least one loss.",
}

ZH: dict[str, str] = {
    "bounds_tab": "变分下界",
    "bounds_intro": "扩散模型在每个时间步上各有一个平方误差。每个误差算多重，是一种选择：似然有它的选择，公开的代码有另一种，"
    "大家实际用的损失又是第三种。",
    "weights_title": "### 下界要求的权重，与公开代码里的权重",
    "weights_text": "$-\\log p(x_0)$ 的变分界是各时间步平方误差的加权和。若误差以噪声计，权重是 "
    "$\\beta_t^2 / (2\\sigma_t^2\\alpha_t(1-\\bar\\alpha_t))$。网络也可以改为预测画面或 v：几种误差彼此成正比，所以权重只是换了一种"
    "“货币”：x₀ 是 $\\mathrm{SNR}\\,w_\\epsilon$（v = 0 时就是 $\\frac12(\\mathrm{SNR}(t-1) - \\mathrm{SNR}(t))$），v 是 "
    "$\\bar\\alpha_t\\,w_\\epsilon$。\n\n"
    "公开的代码对 x₀ 用的是 $\\frac12\\sqrt{\\bar\\alpha_t}/(2\\cdot 1 - \\bar\\alpha_t)$：那是另一个量，真正的权重下降好几个数量级时，"
    "它几乎不变。因为已有的模型文件是用它训练的，这里也以它为默认，并把真正的权重画在旁边。",
    "weights_ask": "先猜一猜：似然最在意哪些时间步？",
    "weights_answer": "最前面的几步。下界要为画面的每一个比特付账，而大部分比特在细节里，细节是在几乎没有噪声的地方决定的。"
    "把 v 调到 1：σ² 只在 t 很小时变大，权重也只在那里下降。",
    "forms_label": "误差以什么计",
    "form_eps": "ε（下界）",
    "form_x0": "x₀（下界）",
    "form_x0_published": "x₀（公开代码）",
    "form_v": "v（下界）",
    "kind_label": "日程",
    "weights_plot": "变分下界中平方误差的权重",
    "published_ratio": "x₀ 的真正权重在 t = 1 处是公开代码的 {first} 倍，在末尾是 {last} 倍。",
    "published_equal": "两者在 t = {t} 处相等。",
    "fault_no_form": "请至少选一种权重。",
    "first_title": "### 第一个权重",
    "first_text": "t = 0 时后验方差为 0：知道了 $x_0$，再前一步就没有什么可猜的。公式要除以这个方差，所以第一个权重是无穷大。"
    "公开的代码用 $w_1$ 代替它，本项目也一样。\n\n"
    "v > 0 时方差是 $v\\,\\beta_0$，公式有限：$1/(2v\\alpha_0)$，但第一个权重照样被替换。而下界本身并没有这一项："
    "它的最后一环是已知 $x_1$ 时像素的似然。",
    "first_ask": "先猜一猜：有没有一个 v，使公式在 t = 0 处给出的值小于实际使用的值？",
    "first_answer": "没有。把 v 从 0 往上调：圆点按 $1/(2v\\alpha_0)$ 下降，到 ½ 为止。实际使用的值也在下降：对 “linear”，"
    "$w_1$ 在 v = 0 时约为 ½，在 v = 1 时约为 ¼，因为那时分母里有两步的噪声，分子里只有一步。",
    "shared_controls": "v 和日程用的是本页最上方的设置。",
    "first_plot": "最前面的几个 ε 权重",
    "first_used": "实际使用",
    "first_formula": "按公式",
    "first_infinite": "按公式，t = 0 处的权重是无穷大。",
    "first_finite": "按公式，t = 0 处的权重是 {first}。",
    "first_summary": "实际使用的是 w[1] = {used}。",
    "objectives_title": "### 实际使用的损失",
    "objectives_text": "“简单”损失对每个时间步一视同仁，可是以什么为准？$x_0$ 里大小为 1 的误差，在 ε 里是 "
    "$\\sqrt{\\mathrm{SNR}}$，在 v 里是 $\\sqrt{\\mathrm{SNR}+1}$。所以 ε 的简单损失并不是 $x_0$ 的简单损失：在左边选定一种“货币”，"
    "看看同一个误差在各种损失里要付多少。min-SNR 在噪声强的地方与 ε 的损失相同，但最多只付 γ。\n\n"
    "第二幅图从 t = 0 起把权重累加。它穿过 ½ 的地方，就是损失的一半——假如误差处处相同。实际并不相同：“损失”一页画出了各时间步的真实误差。",
    "objectives_ask": "先猜一猜：以 x₀ 计，ε 的损失有一半落在哪个 t 以下？",
    "objectives_answer": "最前面的十来个时间步：那里的 SNR 极大。v 的损失在每个 t 多付 1，它的一半只移动一点点。再把 γ 调小："
    "min-SNR 的一半会向右移，因为细节最多只能算 γ。",
    "losses_label": "损失",
    "objective_bound": "变分下界",
    "objective_eps": "ε 的简单损失",
    "objective_x0": "x₀ 的简单损失",
    "objective_v": "v 的简单损失",
    "objective_min_snr": "min-SNR",
    "measured_label": "货币",
    "measured_info": "误差以什么计。",
    "measured_eps": "ε",
    "measured_x0": "x₀",
    "measured_v": "v",
    "gamma_label": "γ",
    "gamma_info": "min-SNR 对 x₀ 误差最多付多少。",
    "paid_plot": "各种损失为 {measured} 的误差付多少",
    "share_plot": "到 t 为止的权重占比",
    "axis_share_t": "到 t 为止的占比",
    "half_below": "{name}的权重有一半落在 t = {t} 以下",
    "fault_no_loss": "请至少选一种损失。",
}
