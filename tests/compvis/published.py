"""Our own table of the options of CompVis' published configurations.

It has what a file names and nothing that it leaves to the classes' defaults; no file is copied.
"""

from __future__ import annotations

from typing import Any

Options = dict[str, Any]
LDM, SD = "ldm.models.diffusion.ddpm.LatentDiffusion", "ldm.modules.encoders.modules."
KL, VQ, VQI = (f"ldm.models.autoencoder.{name}" for name in ("AutoencoderKL", "VQModel", "VQModelInterface"))
UNET = "ldm.modules.diffusionmodules.openaimodel.UNetModel"
KL_LOSS, VQ_LOSS = (
    "ldm.modules.losses.LPIPSWithDiscriminator",
    "taming.modules.losses.vqperceptual.VQLPIPSWithDiscriminator",
)


def target(name: str, **params: Any) -> Options:
    return {"target": name, "params": params}


def network(z: int, mult: list[int], attention: list[int] = [], double: bool = True, **more: Any) -> Options:  # noqa: B006
    """ddconfig of a first stage at 256 px."""
    return {
        "double_z": double, "z_channels": z, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128,
        "ch_mult": mult, "num_res_blocks": 2, "attn_resolutions": attention, "dropout": 0.0, **more,
    }  # fmt: skip


def kl(z: int, mult: list[int], attention: list[int] = [], loss: Options | None = None) -> Options:  # noqa: B006
    """A KL autoencoder as a model, or with an Identity loss as a first stage."""
    lossconfig = target(KL_LOSS, disc_start=50001, kl_weight=1e-6, disc_weight=0.5) if loss is None else loss
    return target(KL, embed_dim=z, monitor="val/rec_loss", ddconfig=network(z, mult, attention), lossconfig=lossconfig)


def vq(name: str, z: int, codes: int, mult: list[int], attention: list[int] = [], **more: Any) -> Options:  # noqa: B006
    """A VQ autoencoder as a model (VQModel) or as a first stage (VQModelInterface)."""
    loss = target(
        VQ_LOSS, disc_conditional=False, disc_in_channels=3, disc_start=0, disc_weight=0.75, codebook_weight=1.0
    )
    ddconfig = network(z, mult, attention, double=False, **more)
    lossconfig = target("torch.nn.Identity") if name == VQI else loss
    return target(name, embed_dim=z, n_embed=codes, monitor="val/rec_loss", ddconfig=ddconfig, lossconfig=lossconfig)


def unet(size: int, ins: int, outs: int, width: int, attend: list[int], mult: list[int], **more: Any) -> Options:
    return target(
        UNET, image_size=size, in_channels=ins, out_channels=outs, model_channels=width, attention_resolutions=attend,
        num_res_blocks=2, channel_mult=mult, **more,
    )  # fmt: skip


def ldm(stage: Options, cond: Any, net: Options, size: int, channels: int, **more: Any) -> Options:
    return target(
        LDM, timesteps=1000, first_stage_key="image", image_size=size, channels=channels, first_stage_config=stage,
        cond_stage_config=cond, unet_config=net, **more,
    )  # fmt: skip


IDENTITY = target("torch.nn.Identity")
NONE = "__is_unconditional__"
WORDS = {"use_spatial_transformer": True, "transformer_depth": 1}
F4 = vq(VQI, 3, 8192, [1, 2, 4])
F4_BARE = vq(VQI, 3, 8192, [1, 2, 4], attn_type="none")
F8 = vq(VQI, 4, 16384, [1, 2, 2, 4], [32])
KL8 = kl(4, [1, 2, 4, 4], loss=IDENTITY)
BERT = target(f"{SD}BERTEmbedder", n_embed=1280, n_layer=32)
FACES = {"linear_start": 0.0015, "linear_end": 0.0195, "num_timesteps_cond": 1, "log_every_t": 200}
SMALL = unet(64, 3, 3, 224, [8, 4, 2], [1, 2, 3, 4], num_head_channels=32)

CONFIGS: dict[str, Options] = {
    "autoencoder_kl_8x8x64": kl(64, [1, 1, 2, 2, 4, 4], [16, 8]),
    "autoencoder_kl_16x16x16": kl(16, [1, 1, 2, 2, 4], [16]),
    "autoencoder_kl_32x32x4": kl(4, [1, 2, 4, 4]),
    "autoencoder_kl_64x64x3": kl(3, [1, 2, 4]),
    "vq-f4": vq(VQ, 3, 8192, [1, 2, 4]),
    "vq-f4-noattn": vq(VQ, 3, 8192, [1, 2, 4], attn_type="none"),
    "vq-f8": vq(VQ, 4, 16384, [1, 2, 2, 4], [32]),
    "vq-f8-n256": vq(VQ, 4, 256, [1, 2, 2, 4], [32]),
    "vq-f16": vq(VQ, 8, 16384, [1, 1, 2, 2, 4], [16]),
    "celebahq-ldm-vq-4": ldm(F4, NONE, SMALL, 64, 3, **FACES),
    "ffhq-ldm-vq-4": ldm(F4, NONE, SMALL, 64, 3, **FACES),
    "lsun_bedrooms-ldm-vq-4": ldm(F4, NONE, SMALL, 64, 3, **FACES),
    "lsun_churches-ldm-kl-8": ldm(
        KL8, NONE,
        unet(32, 4, 4, 192, [1, 2, 4, 8], [1, 2, 2, 4, 4], num_heads=8, use_scale_shift_norm=True,
             resblock_updown=True),
        32, 4, linear_start=0.0015, linear_end=0.0155, loss_type="l1", scale_by_std=True, concat_mode=False,
        num_timesteps_cond=1, cond_stage_key="image",
    ),
    "cin-ldm-vq-f8": ldm(
        F8, target(f"{SD}ClassEmbedder", embed_dim=512, key="class_label"),
        unet(32, 4, 4, 256, [4, 2, 1], [1, 2, 4], num_head_channels=32, context_dim=512, **WORDS),
        32, 4, linear_start=0.0015, linear_end=0.0195, conditioning_key="crossattn", cond_stage_key="class_label",
        cond_stage_trainable=True, num_timesteps_cond=1,
    ),
    "cin256-v2": ldm(
        F4, target(f"{SD}ClassEmbedder", n_classes=1001, embed_dim=512, key="class_label"),
        unet(64, 3, 3, 192, [8, 4, 2], [1, 2, 3, 5], num_heads=1, context_dim=512, **WORDS),
        64, 3, linear_start=0.0015, linear_end=0.0195, conditioning_key="crossattn", cond_stage_key="class_label",
        use_ema=False,
    ),
    "bsr_sr": ldm(
        F4, IDENTITY, unet(64, 6, 3, 160, [16, 8], [1, 2, 2, 4], num_head_channels=32), 64, 3, linear_start=0.0015,
        linear_end=0.0155, concat_mode=True, cond_stage_key="LR_image", cond_stage_trainable=False,
    ),
    "inpainting_big": ldm(
        F4_BARE, "__is_first_stage__", unet(64, 7, 3, 256, [8, 4, 2], [1, 2, 3, 4], num_heads=8, resblock_updown=True),
        64, 3, linear_start=0.0015, linear_end=0.0205, loss_type="l1", concat_mode=True, cond_stage_key="masked_image",
    ),
    "semantic_synthesis256": ldm(
        F4, target(f"{SD}SpatialRescaler", n_stages=2, in_channels=182, out_channels=3),
        unet(64, 6, 3, 128, [32, 16, 8], [1, 4, 8], num_heads=8), 64, 3, linear_start=0.0015, linear_end=0.0205,
        cond_stage_key="segmentation", cond_stage_trainable=True, concat_mode=True,
    ),
    "txt2img-1p4B-eval": ldm(
        kl(4, [1, 2, 4, 4], loss=IDENTITY), BERT,
        unet(32, 4, 4, 320, [4, 2, 1], [1, 2, 4, 4], num_heads=8, context_dim=1280, **WORDS), 32, 4,
        linear_start=0.00085, linear_end=0.012, conditioning_key="crossattn", cond_stage_key="caption",
    ),
    "stable-diffusion-v1": ldm(
        KL8, target(f"{SD}FrozenCLIPEmbedder"),
        unet(32, 4, 4, 320, [4, 2, 1], [1, 2, 4, 4], num_heads=8, context_dim=768, use_checkpoint=True, legacy=False,
             **WORDS),
        64, 4, linear_start=0.00085, linear_end=0.012, num_timesteps_cond=1, log_every_t=200, cond_stage_key="txt",
        cond_stage_trainable=False, conditioning_key="crossattn", monitor="val/loss_simple_ema", scale_factor=0.18215,
        use_ema=False,
    ),
}  # fmt: skip
LACKING = {"txt2img-1p4B-eval": "BERTEmbedder"}
