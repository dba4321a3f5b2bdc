"""What A1111's HTTP API asks and answers, as far as it is served here; its names are that API's."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas import Body
from ldm_core.sampling import SamplingParams

MOST_PICTURES = 16


class Text2Img(Body):
    """txt2img's request; fields of parts that are not here are ignored."""

    model_config = ConfigDict(extra="ignore")

    prompt: str = ""
    negative_prompt: str | None = ""
    steps: int | None = None
    cfg_scale: float | None = None
    sampler_name: str | None = None
    sampler_index: str | None = None
    seed: int | None = -1
    subseed: int | None = -1  # as with `seed`, one is drawn for -1
    subseed_strength: float | None = 0.0  # how far the noise goes from the seed's to the subseed's
    batch_size: int = Field(1, ge=1, le=MOST_PICTURES)
    n_iter: int = Field(1, ge=1, le=MOST_PICTURES)
    width: int = Field(512, ge=8, le=4096)
    height: int = Field(512, ge=8, le=4096)
    eta: float | None = None
    send_images: bool = True
    override_settings: dict[str, Any] | None = None


class Img2Img(Text2Img):
    """img2img's request."""

    init_images: list[str] = Field(default_factory=list)
    mask: str | None = None  # white is repainted
    inpainting_mask_invert: int | bool = 0
    resize_mode: int = Field(0, ge=0, le=3)  # 0 stretches picture and mask to the size that is made, 1 crops them
    denoising_strength: float = SamplingParams.strength


class Picture(Body):
    """png-info's request."""

    image: str


class Made(BaseModel):
    """txt2img's and img2img's answer."""

    images: list[str]  # base64 PNG
    parameters: dict[str, Any]  # the request without its pictures
    info: str  # JSON: all_seeds, infotexts, …


class ProgressState(BaseModel):
    """Which job, and how far."""

    skipped: bool = False
    interrupted: bool = False
    job: str = ""
    job_count: int
    job_no: int = 0
    sampling_step: int = 0
    sampling_steps: int = 0


class Progress(BaseModel):
    """How far the caller's oldest job is: `progress` of 1, `eta_relative` seconds to go, its preview as base64 PNG."""

    progress: float = 0.0
    eta_relative: float = 0.0
    state: ProgressState
    current_image: str | None = None
    textinfo: str | None = None


class Options(BaseModel):
    """The options that mean anything here."""

    sd_model_checkpoint: str
    sd_checkpoint_hash: str
    samples_format: str = "png"


class SdModel(BaseModel):
    """A model that can be chosen."""

    model_config = ConfigDict(protected_namespaces=())

    title: str
    model_name: str
    hash: str
    sha256: str
    filename: str
    config: str | None = None


class Sampler(BaseModel):
    """A sampler by the name that this API's clients know, and by ours."""

    name: str
    aliases: list[str]
    options: dict[str, str] = {}


class Scheduler(BaseModel):
    """The one spacing of timesteps there is."""

    name: str = "automatic"
    label: str = "Automatic"
    aliases: list[str] | None = None
    default_rho: float = -1
    need_inner_model: bool = False


class Upscaler(BaseModel):
    """The upscaler that does nothing."""

    model_config = ConfigDict(protected_namespaces=())

    name: str = "None"
    model_name: str | None = None
    model_path: str | None = None
    model_url: str | None = None
    scale: float = 1


class Embeddings(BaseModel):
    """Textual inversions by name: none."""

    loaded: dict[str, Any] = {}
    skipped: dict[str, Any] = {}


class MemoryKind(BaseModel):
    """Bytes."""

    free: int
    used: int
    total: int


class Memory(BaseModel):
    """Of the process, and of the machine where the system tells."""

    ram: MemoryKind
    cuda: dict[str, Any] = {}


class PngInfo(BaseModel):
    """The settings that a PNG carries."""

    info: str  # as this API writes them
    items: dict[str, str]  # all of its texts
    parameters: dict[str, Any] = {}
