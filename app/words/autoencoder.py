"""Words of the Autoencoder lab."""

from __future__ import annotations

EN: dict[str, str] = {
    "autoencoder_tab": "Autoencoder",
    "autoencoder_intro": "The model draws latents, not pixels. Here is what a picture loses on the way there and back.",
    "reconstruction_title": "### There and back",
    "reconstruction_text": "The encoder gives a mean $\\mu$ and a standard deviation $\\sigma$ for each of four channels at every "
    "eighth pixel: 192 numbers become 4. The decoder makes a picture of a latent $z = \\mu + \\sigma\\,\\epsilon$; "
    "with the noise at 0 it is the mode, at 1 a fair sample of the posterior.\n\n"
    "PSNR and SSIM say how close the picture comes back, and so does LPIPS, the distance between features of a network (AlexNet, here with a "
    "random trunk, since the trained one would have to be downloaded: compare its values with each other only). The KL term says how much the latent knows beyond pure noise. Look at "
    "the error map: edges and fine lines are what 16×16 positions cannot hold.",
    "reconstruction_ask": "Predict first: how far can you turn up the noise before you see it?",
    "reconstruction_answer": "Far: the KL term weighs so little in training that $\\sigma$ is tiny beside the spread of the means. "
    "That is why diffusion, not the autoencoder's own prior, has to say which latents are pictures.",
    "posterior_noise_label": "Noise in the latent",
    "posterior_noise_info": "In standard deviations of the posterior; 0: its mode.",
    "posterior_seed_label": "Seed",
    "posterior_seed_info": "Which noise.",
    "reconstructed": "Reconstruction",
    "error_map": "Error (lightest: {most})",
    "mean_of": "μ, channel {c}",
    "std_of": "σ, channel {c} (mean {mean})",
    "reconstruction_summary": "PSNR {psnr} dB, SSIM {ssim}, LPIPS {lpips} (random trunk), KL {kl} nats.",
    "kl_plot": "KL per position",
    "kl_summary": "{total} nats in all, {mean} on average, {most} at the richest position.",
    "axis_column": "column",
    "axis_row": "row",
    "between_title": "### Between two pictures",
    "between_text": "Two latents can be blended, $z = (1-a)\\,z_1 + a\\,z_2$, or cut and put together. The decoder was never shown such "
    "a latent; what it makes of it tells how smooth its world is. Without a second picture the first one is mirrored.\n\n"
    "A blend of pixels would show both pictures half transparent. A blend of latents nearly does so too: the code is local, "
    "each position stands for its own patch.",
    "between_ask": "Predict first: will a cut through the latent leave a seam?",
    "between_answer": "A soft one. The decoder's convolutions look beyond one position and smooth over it.",
    "how_label": "How",
    "how_blend": "blend",
    "how_swap": "right part from the second",
    "share_label": "Share of the second",
    "share_info": "0: the first alone, 1: the second alone.",
    "first_picture": "First",
    "second_picture": "Second",
    "in_latents": "Both, in latents",
    "between_summary": "{share} of the latent is the second picture's.",
    "channels_title": "### What a channel means",
    "channels_text": "Adding the same number to one channel everywhere moves the whole picture along one direction of the code. "
    "Nobody told the encoder what a channel should mean; training found it.\n\n"
    "The amount is in units of the scaled latent, whose standard deviation is about 1.",
    "channels_ask": "Predict first: do four channels hold red, green, blue and something else?",
    "channels_answer": "Not quite: brightness and two colour contrasts usually take about three directions, but mixed over the "
    "channels; detail shares the rest.",
    "channel_label": "Channel",
    "channel_info": "Which of the four.",
    "amount_label": "Amount",
    "amount_info": "Added at every position.",
    "moved": "Decoded",
    "channels_summary": "Channel {c} moved by {amount}.",
    "prior_title": "### Pure noise, decoded",
    "prior_text": "If latents were distributed like $N(0, I)$, noise would decode to pictures. They are not: these are the decoder's "
    "answers to noise of the right spread but without any order.\n\n"
    "The diffusion model's whole task is to get from here to a latent that decodes to a picture.",
    "prior_ask": "Predict first: will there be shapes?",
    "prior_answer": "Colours and blotches of the right size, but no shapes: neighbours know nothing of each other.",
    "prior_seed_label": "Seed",
    "prior_seed_info": "Which noise.",
    "draw_of": "Draw {k}",
}

ZH: dict[str, str] = {
    "autoencoder_tab": "自编码器",
    "autoencoder_intro": "模型画的是潜变量，不是像素。看看一幅画一去一回会丢失什么。",
    "reconstruction_title": "### 一去一回",
    "reconstruction_text": "编码器在每 8 个像素处给出四个通道的均值 $\\mu$ 和标准差 $\\sigma$：192 个数变成 4 个。解码器把潜变量 "
    "$z = \\mu + \\sigma\\,\\epsilon$ 变回图像；噪声为 0 时取众数，为 1 时是后验的一次采样。\n\n"
    "PSNR 和 SSIM 表示还原得有多接近；LPIPS 也是，它比较一个网络（AlexNet）的特征，这里的主干是随机的，因为训练好的需要下载，所以它的数值只能互相比较。KL 表示潜变量比纯噪声多知道多少。请看误差图：16×16 个位置装不下的正是边缘和细线。",
    "reconstruction_ask": "先猜一猜：噪声调到多大才看得出来？",
    "reconstruction_answer": "可以调得很大：训练时 KL 的权重极小，$\\sigma$ 与均值的散布相比微不足道。所以哪些潜变量是图像，"
    "要由扩散模型来回答，而不是自编码器自己的先验。",
    "posterior_noise_label": "潜变量中的噪声",
    "posterior_noise_info": "以后验标准差为单位；0：众数。",
    "posterior_seed_label": "种子",
    "posterior_seed_info": "哪一份噪声。",
    "reconstructed": "重建",
    "error_map": "误差（最亮处 {most}）",
    "mean_of": "μ，通道 {c}",
    "std_of": "σ，通道 {c}（平均 {mean}）",
    "reconstruction_summary": "PSNR {psnr} dB，SSIM {ssim}，LPIPS {lpips}（随机主干），KL {kl} 奈特。",
    "kl_plot": "各位置的 KL",
    "kl_summary": "共 {total} 奈特，平均 {mean}，最多处 {most}。",
    "axis_column": "列",
    "axis_row": "行",
    "between_title": "### 两幅画之间",
    "between_text": "两个潜变量可以混合，$z = (1-a)\\,z_1 + a\\,z_2$，也可以剪开拼在一起。解码器从没见过这样的潜变量，"
    "它画出的东西说明它的世界有多平滑。没有第二幅画时，用第一幅的镜像。\n\n"
    "像素混合会看到两幅半透明的画；潜变量混合也差不多：这种编码是局部的，每个位置只代表自己的一小块。",
    "between_ask": "先猜一猜：在潜变量上剪一刀，会留下接缝吗？",
    "between_answer": "有，但很柔和：解码器的卷积会看到旁边的位置，把接缝抹平。",
    "how_label": "方式",
    "how_blend": "混合",
    "how_swap": "右边取自第二幅",
    "share_label": "第二幅的比例",
    "share_info": "0：只有第一幅；1：只有第二幅。",
    "first_picture": "第一幅",
    "second_picture": "第二幅",
    "in_latents": "潜变量中的两者",
    "between_summary": "潜变量中有 {share} 属于第二幅。",
    "channels_title": "### 一个通道代表什么",
    "channels_text": "在一个通道的每个位置都加上同一个数，整幅画就沿着编码的一个方向移动。没有人告诉编码器通道该代表什么，"
    "那是训练自己找到的。\n\n数值以缩放后的潜变量为单位，其标准差约为 1。",
    "channels_ask": "先猜一猜：四个通道是红、绿、蓝和别的什么吗？",
    "channels_answer": "不完全是：亮度和两种颜色对比大约占三个方向，但混在各通道里；细节分享其余部分。",
    "channel_label": "通道",
    "channel_info": "四个中的哪一个。",
    "amount_label": "数值",
    "amount_info": "加在每个位置上。",
    "moved": "解码结果",
    "channels_summary": "通道 {c} 移动了 {amount}。",
    "prior_title": "### 把纯噪声解码",
    "prior_text": "如果潜变量服从 $N(0, I)$，噪声就能解码成图像。事实并非如此：这是解码器对散布正确却毫无秩序的噪声的回答。\n\n"
    "扩散模型的全部任务，就是从这里走到一个能解码成图像的潜变量。",
    "prior_ask": "先猜一猜：会有形状吗？",
    "prior_answer": "有大小合适的色块，但没有形状：相邻位置互不相知。",
    "prior_seed_label": "种子",
    "prior_seed_info": "哪一份噪声。",
    "draw_of": "第 {k} 次",
}
