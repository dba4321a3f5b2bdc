"""Geometry and schedule of a model as frozen values: presets are values, a bad value fails where it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, Literal, Self, TypeVar, get_args, get_type_hints

FirstStageKind = Literal["kl", "vq", "identity"]
ConditioningKey = Literal["concat", "crossattn", "hybrid", "adm"]
Parameterization = Literal["eps", "x0", "v"]
T = TypeVar("T")
BetaSchedule = Literal["linear", "cosine", "sqrt_linear", "sqrt"]
TimestepSpacing = Literal["uniform", "quad", "trailing"]
MAX_SEED = 2**32 - 1  # seeds are 0…MAX_SEED wherever one is taken


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True)
class AutoencoderConfig:
    """First stage (Rombach et al. 2022, appendix G): CompVis' `ddconfig` plus `embed_dim` and the kind."""

    kind: FirstStageKind = "kl"
    in_channels: int = 3
    out_ch: int = 3
    ch: int = 128
    ch_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 2
    attn_resolutions: tuple[int, ...] = ()
    resolution: int = 256
    z_channels: int = 4
    double_z: bool = True
    embed_dim: int = 4
    dropout: float = 0.0
    n_embed: int = 0  # codebook size, VQ only
    beta: float = 0.25  # weight of the commitment to the codebook, VQ only
    attn_type: Literal["vanilla", "none"] = "vanilla"  # none: no attention anywhere, not in the middle either
    norm_groups: int = 32  # 32 channels in 32 groups forget every flat colour: keep 4 channels or more in a group

    def __post_init__(self) -> None:
        kinds = ("kl", "vq", "identity")
        _require(self.kind in kinds, f"autoencoder kind must be one of {kinds}, not {self.kind!r}")
        _require(self.attn_type in ("vanilla", "none"), f"attn_type must be vanilla or none, not {self.attn_type!r}")
        widths = [m * self.ch for m in self.ch_mult]
        fits = self.norm_groups >= 1 and all(w % self.norm_groups == 0 for w in widths)
        _require(fits, f"autoencoder widths {widths} are not multiples of norm_groups={self.norm_groups}")
        _require(
            self.ch >= 1 and len(self.ch_mult) >= 1, f"autoencoder ch={self.ch}, ch_mult={self.ch_mult}: too small"
        )
        _require(self.kind != "kl" or self.double_z, "a KL autoencoder needs double_z=True: mean and log-variance")
        _require(self.kind != "vq" or not self.double_z, "a VQ autoencoder needs double_z=False: it has no variance")
        _require(self.kind != "vq" or self.n_embed >= 2, f"a VQ autoencoder needs n_embed >= 2, not {self.n_embed}")
        whole = len(self.ch_mult) == 1 and self.in_channels == self.out_ch == self.embed_dim
        _require(self.kind != "identity" or whole, "an identity first stage keeps size and channels: see IDENTITY")

    @property
    def downsampling(self) -> int:
        """f: pixels per latent cell along one side."""
        return int(2 ** (len(self.ch_mult) - 1))


@dataclass(frozen=True)
class UNetConfig:
    """The noise-prediction UNet; names as in the published `unet_config`."""

    in_channels: int = 4
    out_channels: int = 4
    model_channels: int = 320
    channel_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 2
    attention_resolutions: tuple[int, ...] = (4, 2, 1)  # downsampling factors that carry attention
    num_heads: int = 8
    transformer_depth: int = 1
    context_dim: int | None = 768  # None: plain self-attention blocks, no text
    num_classes: int | None = None  # set: y is added to the time embedding ("adm")
    dropout: float = 0.0  # in residual blocks alone, as in CompVis' code
    norm_groups: int = 32  # a group of one channel forgets what the time embedding added to it: use fewer when narrow
    num_head_channels: int = -1  # width of a head; set, it takes the place of num_heads
    use_spatial_transformer: bool = (
        True  # False: AttentionBlock, which takes no context (CompVis' unconditional models)
    )
    use_scale_shift_norm: bool = (
        False  # the timestep scales and shifts the second norm instead of being added before it
    )
    resblock_updown: bool = False  # residual blocks change the resolution, not convolutions
    conv_resample: bool = True  # False: resolution changes by averaging and repetition alone

    def __post_init__(self) -> None:
        for m in self.channel_mult:
            width = m * self.model_channels
            fits = self.norm_groups >= 1 and width % self.norm_groups == 0
            _require(fits, f"UNet width {width} is not a multiple of norm_groups={self.norm_groups}")
            head = "num_heads" if self.num_head_channels == -1 else "num_head_channels"
            size = getattr(self, head)
            _require(size >= 1 and width % size == 0, f"UNet width {width} is not a multiple of {head}={size}")
        plain = self.use_spatial_transformer or self.context_dim is None
        _require(plain, f"a context of width {self.context_dim} needs use_spatial_transformer=True")

    def heads(self, width: int) -> int:
        """Attention heads of a layer of this width."""
        return self.num_heads if self.num_head_channels == -1 else width // self.num_head_channels


@dataclass(frozen=True)
class TextConfig:
    """CLIP text tower (Radford et al. 2021)."""

    vocab: int = 49408
    text_len: int = 77
    width: int = 768
    layers: int = 12
    heads: int = 12
    intermediate: int = 3072
    hidden_act: str = "quick_gelu"

    def __post_init__(self) -> None:
        _require(self.width % self.heads == 0, f"text width {self.width} is not a multiple of heads={self.heads}")
        _require(self.text_len >= 3, f"text_len {self.text_len} leaves no room between bos and eos (at least 3)")
        _require(self.vocab >= 258, f"vocab {self.vocab} is smaller than 256 bytes, bos and eos")

    @property
    def bos(self) -> int:
        """CLIP's vocabulary ends with bos, eos; eos is also the padding."""
        return self.vocab - 2

    @property
    def eos(self) -> int:
        """The end token's id, also the padding: CLIP's is the last."""
        return self.vocab - 1


@dataclass(frozen=True)
class ScheduleConfig:
    """The forward process q(x_t | x_0)."""

    beta_schedule: BetaSchedule = "linear"
    timesteps: int = 1000
    linear_start: float = 1e-4
    linear_end: float = 2e-2
    cosine_s: float = 8e-3
    v_posterior: float = 0.0
    given_betas: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        _require(self.timesteps >= 1, f"timesteps must be at least 1, not {self.timesteps}")
        _require(
            0 < self.linear_start <= self.linear_end < 1,
            f"need 0 < linear_start <= linear_end < 1, not {self.linear_start} and {self.linear_end}",
        )
        _require(self.cosine_s > 0, f"cosine_s must be above 0, not {self.cosine_s}")
        _require(0 <= self.v_posterior <= 1, f"v_posterior must lie in [0, 1], not {self.v_posterior}")
        kinds = get_args(BetaSchedule)
        _require(self.beta_schedule in kinds, f"beta_schedule must be one of {kinds}, not {self.beta_schedule!r}")


@dataclass(frozen=True)
class ModelConfig:
    """A whole latent diffusion model: what a weights file carries in its header."""

    name: str
    first_stage: AutoencoderConfig
    unet: UNetConfig
    text: TextConfig | None
    schedule: ScheduleConfig
    scale_factor: float = 0.18215
    image_size: int = 512
    parameterization: Parameterization = "eps"
    conditioning_key: ConditioningKey | None = "crossattn"
    frozen: Mapping[str, str] = field(default_factory=dict)  # part → sha256 of its weights when it was frozen
    default_guidance: float = 5.0  # classifier-free guidance where a request names none; files without it have 5

    def __post_init__(self) -> None:
        _require(self.scale_factor > 0, f"scale_factor must be above 0, not {self.scale_factor}")
        guided = -50 <= self.default_guidance <= 50
        _require(guided, f"default_guidance must lie in -50…50, not {self.default_guidance}")
        _require(self.parameterization in ("eps", "x0", "v"), f"unknown parameterization {self.parameterization!r}")
        keys = (None, "concat", "crossattn", "hybrid", "adm")
        _require(
            self.conditioning_key in keys, f"conditioning_key must be one of {keys}, not {self.conditioning_key!r}"
        )
        _require(
            self.image_size > 0 and self.image_size % self.size_multiple == 0,
            f"image_size {self.image_size} is not a multiple of {self.size_multiple}",
        )

    @property
    def size_multiple(self) -> int:
        """Width and height must be multiples of this: every downsampling of VAE and UNet comes out even."""
        return self.first_stage.downsampling * int(2 ** (len(self.unet.channel_mult) - 1))

    def latent_shape(self, height: int | None = None, width: int | None = None) -> tuple[int, int, int]:
        """[C,h,w] of a latent for an image of height × width pixels; None is the trained size."""
        h, w = height or self.image_size, width or self.image_size
        for side, value in (("height", h), ("width", w)):
            _require(
                value > 0 and value % self.size_multiple == 0,
                f"{side} {value} is not a positive multiple of {self.size_multiple}",
            )
        f = self.first_stage.downsampling
        return self.first_stage.embed_dim, h // f, w // f

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of to_dict; unknown names and bad values raise ValueError."""
        return build_config(cls, values)


def build_config(cls: type[T], values: Mapping[str, Any]) -> T:
    """Plain values → a (nested) config dataclass; unknown names and bad values raise ValueError."""
    unknown = set(values) - {f.name for f in fields(cls)}  # type: ignore[arg-type]
    _require(not unknown, f"{cls.__name__} knows no {sorted(unknown)}")
    hints = get_type_hints(cls)
    built: dict[str, Any] = {}
    for name, value in values.items():
        part = next((t for t in (hints[name], *getattr(hints[name], "__args__", ())) if is_dataclass(t)), None)
        if part is not None and isinstance(value, Mapping):
            built[name] = build_config(part, value)  # type: ignore[arg-type]
        else:
            built[name] = tuple(value) if isinstance(value, list) else value
    return cls(**built)
