"""Words of the Losses lab."""

from __future__ import annotations

EN: dict[str, str] = {
    "losses_tab": "Losses",
    "losses_intro": "What training looked like, from the logs of real runs: the shipped model's own, and any run of yours.",
    "history_title": "### Curves of real runs",
    "history_text": "Every run writes one table, metrics.csv: step, name, value, seconds. The shipped model's tables come with its "
    "weights; yours are found in the folder of runs (\\$LATENT_LAB_RUNS), and a run that is still going is redrawn while you watch. "
    "Runs of other programs that left TensorBoard event files there, at any depth, are listed too; their minutes count from the first event.\n\n"
    "A single step sees a few drawings at a few noise levels, so its loss jumps. Smoothing takes an exponential mean; it hides the jumps, and "
    "with a high λ it also comes late. “train” is what was learned from, “val” drawings that were never learned from.",
    "history_ask": "Predict first: loss_simple has hardly moved for most of the run. Has the model stopped learning?",
    "history_answer": "No. Compare the pictures, or go to the next panel: most of the loss is error that nobody could avoid, and it hides the "
    "rest. Choose a logarithmic axis and high smoothing, and the curve is still falling.",
    "runs_label": "Runs",
    "metrics_label": "Curves",
    "metrics_info": "Names as the run logged them.",
    "over_label": "Over",
    "over_step": "step",
    "over_minutes": "minutes of training",
    "smoothing_label": "Smoothing λ",
    "smoothing_info": "Weight of the past; 0 is the log as it is.",
    "log_label": "logarithmic",
    "curves_of_runs": "Curves of runs",
    "axis_value": "value",
    "curve_went": "{name} went from {first} to {last}",
    "bins_title": "### Why diffusion loss “does not go down”",
    "bins_text": "Timesteps are sorted into 20 bins, and at every validation the squared error of each is logged. The shipped model says v: near "
    "t = 0 v is almost the noise, which can hardly be seen in a clear picture; near the end it is almost the picture, which can hardly be seen in the "
    "noise. So both ends are hard, for every model.\n\n"
    "Each bin has a floor: what nobody could know from $x_t$. The usual curve is the mean over all t, so the sum of the floors with a little learning on "
    "top; where timesteps are drawn freely, which ones a batch happened to get shakes it more than learning moves it. (Here every batch takes "
    "them from equal ranges, which makes the curve calmer.) Bin by bin one sees what is learned.",
    "bins_ask": "Predict first: at which noise level does training help most?",
    "bins_answer": "Read the sentence under the map. In the shipped run every bin fell, those with fairly little noise most: there the "
    "model learns edges and shapes. But the bins differ from each other several times over, far more than any of them fell; that is why their mean "
    "seems to stand still.",
    "bins_run_label": "Run",
    "bins_plot": "Loss by timestep: {name}",
    "profile_plot": "Loss by timestep at some validations: {name}",
    "bins_label": "squared error",
    "bins_log_label": "log₁₀ of squared error",
    "axis_t_share": "t / T",
    "at_step": "step {step}",
    "bins_once": "One validation, at step {step}.",
    "bins_summary": "From step {first} to {last} the mean over all t fell by {mean}: most, by {most}, near t/T = {most_at}, least, by {least}, "
    "near t/T = {least_at}.",
    "profile_summary": "In the last validation the hardest bin has {most} times the error of the easiest.",
    "players_title": "### Two losses for the discriminator",
    "players_text": "The autoencoder's pictures are judged by a discriminator: a small network that gives every patch a number, the logit D, high for "
    "real and low for made. The hinge loss asks for D above 1 on real and below −1 on made patches and then is content: the "
    "line is flat, nothing more is learned from that patch. The vanilla loss is the logarithm of the probability and is never quite "
    "content.\n\n"
    "Drawn is what one logit costs on a real and on a made picture: half of the loss each.",
    "players_ask": "Predict first: a discriminator that is always undecided says D = 0. What does each loss make it pay?",
    "players_answer": "Hinge ½ + ½ = 1, vanilla ½ ln 2 + ½ ln 2 = 0.693. A discriminator's loss that stays near these numbers has not learned to "
    "tell the two apart; near 0, it always can, and its gradient says little to the autoencoder.",
    "players_label": "Losses",
    "player_hinge": "hinge",
    "player_vanilla": "vanilla",
    "player_hinge_real": "hinge, real",
    "player_hinge_fake": "hinge, made",
    "player_vanilla_real": "vanilla, real",
    "player_vanilla_fake": "vanilla, made",
    "logit_label": "Logit D",
    "logit_info": "The cursor in the plot.",
    "players_plot": "What a logit costs the discriminator",
    "axis_logit": "logit D",
    "axis_cost": "cost",
    "players_summary": "At D = {logit}: {values}.",
    "balance_title": "### When the discriminator is let in, and how strongly",
    "balance_text": "Two things hold the discriminator back. `adopt_weight` gives its term the factor 0 before step disc_start, so that the "
    "autoencoder first learns to reconstruct at all. The adaptive weight λ then makes its gradient at the decoder's last layer as "
    "large as that of the reconstruction, whatever the discriminator's scale.\n\n"
    "Below them: what the chosen run really logged. The shipped autoencoder was trained without a discriminator, so both are 0 "
    "throughout; a run with a small disc_start shows them rise.",
    "balance_ask": "Predict first: what does λ do when the discriminator's gradient vanishes?",
    "balance_answer": "It grows, but not without limit: 10⁻⁴ in the denominator stops the ratio, and 10⁴ is the most there is. Follow the line with the "
    "large reconstruction gradient to the left: it ends on that ceiling.",
    "disc_start_label": "disc_start",
    "disc_start_info": "The first step with a discriminator.",
    "disc_factor_label": "disc_factor",
    "disc_factor_info": "Its factor from then on.",
    "balance_run_label": "Run for the logged values",
    "adopt_plot": "disc_factor over training",
    "adopt_summary": "0 before step {start}, {factor} from then on.",
    "adaptive_plot": "The adaptive weight",
    "adaptive_summary": "λ falls as the discriminator's gradient grows, levels off below ‖∇g‖ = 10⁻⁴ and never exceeds 10⁴.",
    "training_title": "### Train one yourself",
    "training_text": "The button starts `python -m ldm_core train autoencoder` beside the page: an autoencoder of the shipped one's shape, from random weights, on 600 shipped "
    "drawings, for three minutes at most. Nothing is staged: the curves are its log, the pictures its samples (held-out drawings above, "
    "reconstructions below), and PSNR is measured on drawings it never learns from.\n\n"
    "Its run joins the lists above as soon as it logs, so its λ and disc_factor can be watched in the panel before this one.",
    "training_ask": "Predict first: which comes first, the right colours or the right edges? And what happens when the discriminator comes in?",
    "training_answer": "Light and large shapes come first, then edges, colours last: drawings differ in light by far the most, and a mean of errors "
    "is lowered where they are large. When the discriminator comes in, PSNR usually stops rising or falls a little: being found out by a "
    "judge and being near in every pixel are different aims.",
    "train_steps_label": "Steps",
    "train_steps_info": "It also ends after three minutes.",
    "train_disc_label": "Discriminator from step",
    "train_disc_info": "disc_start of this run; above Steps there is none.",
    "training_run": "Train",
    "training_starting": "Starting.",
    "training_running": "Training.",
    "training_done": "Finished.",
    "training_stopped": "Stopped.",
    "training_failed": "The training run failed.",
    "training_said": "{text} It said: {message}",
    "training_step": "{text} Step {step} of {steps}.",
    "training_psnr": "PSNR on held-out drawings: {before} dB after the first step, {after} dB now.",
    "fault_train_steps": "Steps must lie between {low} and {high}, not {steps}.",
    "fault_training_busy": "A training run is going already; stop it first.",
    "fault_no_run": "There is no run called {name} any more.",
    "fault_metrics": "The metrics file of {name} is damaged: it should be a table of step, name, value and seconds.",
    "fault_events": "An event file of {name} is damaged: TensorBoard's own reader refuses a record in it.",
    "fault_events_size": "The event files of {name} hold {size} MiB; at most {most} MiB are read here.",
    "fault_no_tensorboard": "{name} left TensorBoard event files, and the package tensorboard, which reads them, is not installed here.",
    "fault_metrics_empty": "The run {name} has logged nothing yet.",
    "fault_no_curve": "Choose at least one run and one curve.",
    "fault_no_metric": "{runs} did not log {metrics}.",
    "fault_many_curves": "That would be {count} curves; at most {most} can be told apart.",
    "fault_no_bins": "The run {name} did not log its loss by timestep; only diffusion runs do.",
    "fault_no_player": "Choose at least one of the two losses.",
    "fault_disc_start": "disc_start must be at least 0, not {start}.",
}

ZH: dict[str, str] = {
    "losses_tab": "损失",
    "losses_intro": "训练到底是什么样子：看真实训练的记录，有随附模型自己的，也有你自己的。",
    "history_title": "### 真实训练的曲线",
    "history_text": "每次训练都写一张表 metrics.csv：步数、名称、数值、秒数。随附模型的表和权重放在一起；你自己的训练从运行目录"
    "（\\$LATENT_LAB_RUNS）里读取，正在进行的训练会边跑边重画。别的程序在那里（不论多深）留下的 TensorBoard "
    "事件文件也会列出，它们的分钟数从第一个事件算起。\n\n"
    "一步只看到几幅画、几个噪声水平，所以损失会跳动。平滑取指数平均：它掩盖跳动，λ 大时也会滞后。“train” 是用来学习的画，“val” 是从未"
    "用来学习的画。",
    "history_ask": "先猜一猜：训练的大部分时间里 loss_simple 几乎不动，模型是不是不再学习了？",
    "history_answer": "不是。比较生成的画，或看下一栏：损失的大部分是谁也避免不了的误差，把其余的盖住了。选对数坐标和较强的平滑，可以看到"
    "曲线仍在下降。",
    "runs_label": "训练",
    "metrics_label": "曲线",
    "metrics_info": "名称与训练记录中的相同。",
    "over_label": "横轴",
    "over_step": "步数",
    "over_minutes": "训练时间（分钟）",
    "smoothing_label": "平滑 λ",
    "smoothing_info": "过去所占的权重；0 就是原始记录。",
    "log_label": "对数坐标",
    "curves_of_runs": "训练曲线",
    "axis_value": "数值",
    "curve_went": "{name} 从 {first} 变到 {last}",
    "bins_title": "### 扩散损失为什么“降不下去”",
    "bins_text": "把时间步分成 20 档，每次验证都记录各档的平方误差。随附模型预测的是 v：t 接近 0 时 v 几乎就是噪声，而清晰的画面里很难看出"
    "噪声；接近末尾时 v 几乎就是画面，而噪声里很难看出画面。所以两端都难，对任何模型都难。\n\n"
    "每一档都有一个底：谁也无法从 $x_t$ 得知的部分。平常的损失曲线是对所有 t 的平均，也就是这些底之和，上面只有一点点学习；如果时间步是随意抽取的，"
    "一批数据碰巧抽到哪些 t，比学习本身更能让它晃动。（本项目每批都从等分的区间里各抽一个，曲线因此平稳一些。）分档来看，才看得到学到了什么。",
    "bins_ask": "先猜一猜：训练在哪个噪声水平上帮助最大？",
    "bins_answer": "读图下那句话。随附的训练中每一档都在下降，噪声较少的几档降得最多：模型在那里学到边缘和形状。但各档之间相差好几倍，远大于任何一档"
    "下降的幅度，所以它们的平均看上去停着不动。",
    "bins_run_label": "训练",
    "bins_plot": "各时间步的损失：{name}",
    "profile_plot": "几次验证时各时间步的损失：{name}",
    "bins_label": "平方误差",
    "bins_log_label": "平方误差的 log₁₀",
    "axis_t_share": "t / T",
    "at_step": "第 {step} 步",
    "bins_once": "只有一次验证，在第 {step} 步。",
    "bins_summary": "从第 {first} 步到第 {last} 步，所有 t 的平均下降了 {mean}：在 t/T = {most_at} 附近降得最多，为 {most}；在 t/T = {least_at} "
    "附近降得最少，为 {least}。",
    "profile_summary": "最后一次验证中，最难的一档的误差是最容易的一档的 {most} 倍。",
    "players_title": "### 判别器的两种损失",
    "players_text": "自编码器的画要经过判别器：一个小网络，为每一小块给出一个数 D（logit），真画高，生成的画低。hinge 损失要求真画的 D 大于 1、"
    "生成画的 D 小于 −1，达到之后就满足了：曲线变平，这一块不再教它什么。vanilla 损失是概率的对数，永远不会完全满足。\n\n"
    "图中画的是一个 logit 在真画和生成画上各要付出多少：各占损失的一半。",
    "players_ask": "先猜一猜：总是拿不定主意的判别器会说 D = 0，两种损失各要它付多少？",
    "players_answer": "hinge 是 ½ + ½ = 1，vanilla 是 ½ ln 2 + ½ ln 2 = 0.693。判别器的损失一直在这些数附近，说明它还分不清真假；接近 0 则说明它"
    "总能分清，这时它的梯度对自编码器也没有多少指导。",
    "players_label": "损失",
    "player_hinge": "hinge",
    "player_vanilla": "vanilla",
    "player_hinge_real": "hinge，真画",
    "player_hinge_fake": "hinge，生成画",
    "player_vanilla_real": "vanilla，真画",
    "player_vanilla_fake": "vanilla，生成画",
    "logit_label": "Logit D",
    "logit_info": "图中的游标。",
    "players_plot": "一个 logit 让判别器付出多少",
    "axis_logit": "logit D",
    "axis_cost": "代价",
    "players_summary": "D = {logit} 时：{values}。",
    "balance_title": "### 判别器何时加入，有多强",
    "balance_text": "有两样东西约束着判别器。`adopt_weight` 在第 disc_start 步之前把它的系数设为 0，让自编码器先学会重建。之后，自适应权重 λ "
    "使它在解码器最后一层的梯度与重建的梯度一样大，不管判别器自己的尺度如何。\n\n"
    "最下面是所选训练真正记录的数值。随附的自编码器训练时没有用判别器，所以两者始终为 0；disc_start 较小的训练能看到它们升起来。",
    "balance_ask": "先猜一猜：判别器的梯度消失时，λ 会怎样？",
    "balance_answer": "会变大，但有限度：分母里的 10⁻⁴ 使比值不再增长，而且最大只能是 10⁴。沿着重建梯度大的那条线往左看，它就停在这个上限。",
    "disc_start_label": "disc_start",
    "disc_start_info": "判别器从这一步加入。",
    "disc_factor_label": "disc_factor",
    "disc_factor_info": "加入之后的系数。",
    "balance_run_label": "取哪次训练的记录",
    "adopt_plot": "训练中的 disc_factor",
    "adopt_summary": "第 {start} 步之前为 0，之后为 {factor}。",
    "adaptive_plot": "自适应权重",
    "adaptive_summary": "判别器的梯度越大，λ 越小；‖∇g‖ 低于 10⁻⁴ 后 λ 不再增长，并且从不超过 10⁴。",
    "training_title": "### 自己训练一个",
    "training_text": "按下按钮，就在网页旁边启动 `python -m ldm_core train autoencoder`：一个与随附的自编码器形状相同、从随机权重开始的自编码器，用随附的 600 幅画训练，"
    "最多三分钟。没有任何预先安排：曲线是它自己的记录，图片是它自己的样本（上面是没学过的画，下面是重建），PSNR 也在它从未学过的画上测量。\n\n"
    "它一开始记录，就会出现在上面的训练列表里，所以可以在前一栏里看它的 λ 和 disc_factor。",
    "training_ask": "先猜一猜：先对的是颜色还是边缘？判别器加入时会发生什么？",
    "training_answer": "先是明暗和大的形状，再是边缘，颜色最后：各幅画之间明暗的差别最大，而误差的平均总是先从误差大的地方降下来。判别器加入后，PSNR 通常不再上升，"
    "或略有下降：不被裁判识破，与逐个像素都接近，是两个不同的目标。",
    "train_steps_label": "步数",
    "train_steps_info": "三分钟后也会结束。",
    "train_disc_label": "判别器从这一步加入",
    "train_disc_info": "这次训练的 disc_start；大于步数就没有判别器。",
    "training_run": "开始训练",
    "training_starting": "正在启动。",
    "training_running": "正在训练。",
    "training_done": "已完成。",
    "training_stopped": "已停止。",
    "training_failed": "训练失败。",
    "training_said": "{text}程序说：{message}",
    "training_step": "{text}第 {step} 步，共 {steps} 步。",
    "training_psnr": "在没学过的画上，PSNR 在第一步之后是 {before} dB，现在是 {after} dB。",
    "fault_train_steps": "步数必须在 {low} 到 {high} 之间，不能是 {steps}。",
    "fault_training_busy": "已有一次训练正在进行，请先停止它。",
    "fault_no_run": "名为 {name} 的训练已经不在了。",
    "fault_metrics": "{name} 的记录文件已损坏：它应当是由步数、名称、数值和秒数组成的表。",
    "fault_events": "{name} 的事件文件已损坏：TensorBoard 自己的读取程序拒绝了其中一条记录。",
    "fault_events_size": "{name} 的事件文件共有 {size} MiB；这里最多读取 {most} MiB。",
    "fault_no_tensorboard": "{name} 留下的是 TensorBoard 事件文件，而读取它们的 tensorboard 软件包没有安装。",
    "fault_metrics_empty": "训练 {name} 还没有任何记录。",
    "fault_no_curve": "请至少选一次训练和一条曲线。",
    "fault_no_metric": "{runs} 没有记录 {metrics}。",
    "fault_many_curves": "这样会有 {count} 条曲线；最多只能分清 {most} 条。",
    "fault_no_bins": "训练 {name} 没有按时间步记录损失；只有扩散模型的训练才有。",
    "fault_no_player": "请至少选一种损失。",
    "fault_disc_start": "disc_start 不能小于 0，现在是 {start}。",
}
