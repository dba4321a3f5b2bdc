"""What the HTTP API takes and gives, as OpenAPI describes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ldm_core.sampling import SamplingParams, is_unicode

Quality = Literal["auto", "low", "medium", "high", "standard", "hd"]
Format = Literal["png", "jpeg", "webp"]
QUALITY_STEPS = {"auto": 25, "low": 10, "medium": 25, "high": 50, "standard": 25, "hd": 50}
OPTIONS = ("negative_prompt", "guidance_scale", "seed", "eta", "sampler", "strength")  # ours beside OpenAI's

Name = Annotated[str, Field(max_length=256)]


class Body(BaseModel):
    """What a request brings. Its texts are Unicode: JSON can hold half of a surrogate pair, which no answer can."""

    @field_validator("*")
    @classmethod
    def _unicode(cls, value: Any) -> Any:
        if not _all_unicode(value):
            raise ValueError("must be Unicode text")
        return value


def _all_unicode(value: Any) -> bool:
    stack = [value]  # JSON may be deeper than calls may be
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack += [*item, *item.values()]
        elif isinstance(item, list):
            stack += item
        elif isinstance(item, str) and not is_unicode(item):
            return False
    return True


class ErrorBody(BaseModel):
    """What went wrong."""

    code: str
    message: str
    param: str | None = None
    type: str


class ErrorAnswer(BaseModel):
    """Every refusal under /v1."""

    error: ErrorBody


class ImagesRequest(Body):
    """OpenAI's image generation request, and the sampler's own settings beside it."""

    model_config = ConfigDict(extra="ignore")

    prompt: str
    model: str | None = None
    n: Annotated[int, Field(ge=1, le=10)] = 1
    size: str = "auto"
    quality: Quality = "auto"
    output_format: Format = "png"
    output_compression: Annotated[int, Field(ge=0, le=100)] = 100
    background: Literal["auto", "opaque", "transparent"] = "auto"
    response_format: Literal["b64_json", "url"] | None = None  # None: as OpenAI, url for dall-e-*, else b64_json
    stream: bool = False
    partial_images: Annotated[int, Field(ge=0, le=3)] = 0
    moderation: str | None = None
    user: Name | None = None
    safety_identifier: Name | None = None
    negative_prompt: str = ""
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    seed: int | None = None
    eta: float | None = None
    sampler: str | None = None
    strength: float | None = None  # edits: how much of the picture is noised away

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: Any) -> Any:
        """OpenAI's clients send null for what they leave open."""
        return {k: v for k, v in values.items() if v is not None} if isinstance(values, dict) else values


class ImageData(BaseModel):
    """One picture."""

    b64_json: str | None = None
    url: str | None = None
    seed: int
    made_at: str  # WxH at which the model made it; scaled where `size` differs


class ImagesAnswer(BaseModel):
    """Pictures, as OpenAI answers."""

    created: int
    data: list[ImageData]
    background: Literal["opaque"] = "opaque"
    output_format: Format
    quality: str
    size: str


class JobRequest(Body):
    """A generation that outlives its connection."""

    model_config = ConfigDict(extra="forbid")

    prompt: str
    negative_prompt: str = ""
    steps: int = SamplingParams.steps
    eta: float = SamplingParams.eta
    guidance_scale: float | None = None
    guidance_interval: tuple[float, float] | None = None  # of t/T: guidance acts within
    sampler: str = SamplingParams.sampler
    timestep_spacing: str = SamplingParams.timestep_spacing
    seed: int | None = None
    variation_seed: int | None = None
    variation_strength: float = SamplingParams.variation_strength
    batch: int = SamplingParams.batch
    width: int | None = None
    height: int | None = None
    strength: float = SamplingParams.strength
    label: int | None = None  # the class a class-conditional model draws
    init_image: str | None = None  # base64
    mask: str | None = None  # base64; white is repainted
    model: str = ""  # any name that /v1/models gives one; "": the page's own
    user: Name | None = None


class JobImage(BaseModel):
    """A finished picture; its address is signed and expires."""

    url: str
    seed: int
    width: int
    height: int


class JobAnswer(BaseModel):
    """Where a job stands."""

    id: str
    status: Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
    request: dict[str, Any]
    model: str | None = None
    loading: float | None = None  # how much of its model is in memory, while it waits for that
    i: int = 0
    n: int = 0
    position: int | None = None
    seconds_left: float | None = None
    message: str | None = None
    images: list[JobImage] = []


class ModelCard(BaseModel):
    """A model, as OpenAI lists it, and what is known of its file; `fault` says why it cannot be used."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "latent-lab"
    sha256: str = ""
    loaded: bool = False
    fault: str | None = None


class ModelList(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class A1111Error(BaseModel):
    """Every refusal under /sdapi."""

    error: str
    detail: str
    errors: str


STATUSES = (400, 401, 403, 404, 405, 408, 409, 411, 413, 421, 422, 429, 500, 503)
ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": ErrorAnswer} for status in STATUSES}
A1111_ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": A1111Error} for status in STATUSES}


def event_stream(*names: str) -> dict[int | str, dict[str, Any]]:
    """An answer of server-sent events of these names, each with JSON as its data."""
    properties = {
        "id": {"type": "string"},
        "event": {"type": "string", "enum": list(names)},
        "data": {"type": "string", "contentMediaType": "application/json"},
    }
    event = {"type": "object", "properties": properties, "required": ["event", "data"]}
    return {200: {"content": {"text/event-stream": {"schema": event}}}}
