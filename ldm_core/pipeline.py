"""Text to image, image to image, inpainting: one call, step by step if wanted."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ldm_core.checkpoint import CheckpointError, LoadedModel, ReloadableModel, load_model
from ldm_core.checkpoint.files import Progress
from ldm_core.config import ModelConfig, Parameterization
from ldm_core.devices import memory_guard, resolve_device, resolve_dtype
from ldm_core.diffusion.denoiser import Conditioning, Denoiser, class_conditioning
from ldm_core.diffusion.inpainting import Inpainting
from ldm_core.diffusion.sample_loop import Row, Run, Step, finish, sample_loop, start_row
from ldm_core.images import Pixels, check_mask, check_picture, describe, paste_kept, to_tensor, to_uint8
from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.runtime.base import Runtime, RuntimeFailed
from ldm_core.runtime.choose import Candidate, choose
from ldm_core.runtime.preview import LinearPreview
from ldm_core.runtime.tiling import WHOLE_PIXELS, decode_tiled
from ldm_core.runtime.torch import TorchRuntime
from ldm_core.sampling import DEFAULT_SEED, Limits, SamplingParams
from ldm_core.shipped import weights_name
from ldm_core.text.prompt_syntax import parse, plain
from ldm_core.text.prompt_weighting import token_weights, weigh
from ldm_core.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)
__all__ = ["Pipeline", "Row", "Run", "Step", "finish", "load"]


def load(
    path: str | Path,
    device: str = "auto",
    dtype: str = "auto",
    runtime: str = "auto",
    threads: int | None = None,
    parameterization: Parameterization | None = None,
    progress: Progress | None = None,
) -> Pipeline:
    """A pipeline from our safetensors, an SD v1 single file (.safetensors, .ckpt) or a diffusers folder.

    runtime is torch, openvino (whose graphs are made now where they are not cached: a minute and more), or auto:
    OpenVINO on a CPU where its graphs are cached and give torch's numbers, else torch. threads None is every core, but
    for a small model on torch: one. parameterization says what the network predicts where the file does not say it or
    is wrong. progress is told bytes done and in all; what it raises ends the load. Raises CheckpointError for a file
    that is no model, ValueError for an unknown device, dtype or runtime, for threads below 1, and for a runtime that
    cannot be had.
    """
    if threads is not None and (type(threads) is not int or threads < 1):
        raise ValueError(f"threads must be a whole number of at least 1, not {threads!r}")
    where = resolve_device(device)
    precision = resolve_dtype(dtype, where)
    loaded = load_model(path, dtype=precision, device=where, parameterization=parameterization, progress=progress)
    name, sha256 = weights_name(Path(path)), loaded.sha256

    def again() -> LoadedModel:
        found = load_model(path, dtype=precision, device=where, parameterization=parameterization)
        if found.sha256 != sha256:
            raise CheckpointError(f"{name} has changed since it was loaded")
        return found

    tokenizer = Tokenizer.load(loaded.tokenizer_dir, loaded.config.text.text_len) if loaded.config.text else None
    chosen = choose(runtime, Candidate(loaded.model.requires_grad_(False), loaded.path, sha256, threads))
    pipe = Pipeline(ReloadableModel(loaded.model, again), tokenizer, name, sha256, chosen)
    if pipe.runtime != "torch":
        pipe.release()
    return pipe


class Pipeline:
    """A loaded model that makes pictures. Not thread-safe: one caller at a time.

    A pipeline keeps its runtime for life, so that a picture is made by one runtime from its first step to its decode.
    """

    def __init__(
        self,
        model: LatentDiffusion | ReloadableModel,
        tokenizer: Tokenizer | None,
        name: str = "model",
        sha256: str = "",
        runtime: Runtime | None = None,
    ) -> None:
        """runtime None is eager torch."""
        self._reloadable = model if isinstance(model, ReloadableModel) else ReloadableModel(model)
        model = self.model.eval().requires_grad_(False)
        self.config: ModelConfig = model.config
        self.schedule = model.schedule
        self.tokenizer = tokenizer
        self.weights_name = name
        self.weights_sha256 = sha256
        parameter = next(model.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self.parameters = sum(p.numel() for p in model.parameters())  # how many numbers the weights are
        self._runtime = runtime or TorchRuntime(model)
        self.denoise = Denoiser(self._runtime.unet, self.schedule, model.config.parameterization, self.device)
        self.limits = Limits.unbounded(model.config)
        # A function of the parts it needs: a method would be a cycle, and keep a model that is to leave memory.
        self._context = lru_cache(maxsize=256)(partial(_encode, self._runtime, tokenizer, self.device))
        self._linear_preview: LinearPreview | None = None

    @property
    def model(self) -> LatentDiffusion:
        """The modules, for whatever looks inside a network. On another runtime than torch they are read from the file
        when first asked for, and stay; CheckpointError where it is gone.
        """
        return self._reloadable.model

    def release(self) -> None:
        """Let the modules leave memory until something asks for them. Of no use on torch, which computes with them."""
        self._reloadable.release()

    @property
    def runtime(self) -> str:
        """What executes the networks: torch or openvino."""
        return self._runtime.name

    @property
    def threads(self) -> int | None:
        """Processor threads, as given to `load`; None: the runtime chooses."""
        return self._runtime.threads

    def with_runtime(self, runtime: Runtime | None = None) -> Pipeline:
        """The same model on another runtime; None is eager torch, on as many threads as now."""
        other = runtime or self._on_torch()
        return Pipeline(self._reloadable, self.tokenizer, self.weights_name, self.weights_sha256, other)

    # -- the path of a picture, in order ---------------------------------------------------------------------------

    def encode_prompt(self, prompt: str) -> Tensor:
        """Prompt, perhaps with weights (see prompt_syntax), → context [L,D]; what does not fit is dropped. Cached."""
        if self.tokenizer is None:
            raise ValueError(f"{self.weights_name} has no text encoder: it cannot follow a prompt")
        return self._context(SamplingParams(prompt).prompt)  # ValueError for what is no text

    def condition(self, params: SamplingParams) -> Conditioning:
        """Conditioning of a request: its prompts, its class or nothing, as the model was trained."""
        scale = self.resolved(params).guidance_scale
        assert scale is not None
        low, high = params.guidance_interval or (0.0, 1.0)
        guided = low * self.config.schedule.timesteps, high * self.config.schedule.timesteps
        if self.tokenizer is None:
            return replace(class_conditioning(self.config, params, scale), guided=guided)
        if params.label is not None:
            raise ValueError(f"{self.weights_name} follows a prompt: it takes no class")
        prompts = self.encode_prompt(params.prompt), self.encode_prompt(params.negative_prompt)
        return Conditioning(*prompts, scale, guided)

    def resolved(self, params: SamplingParams) -> SamplingParams:
        """The request with the library's seed and the model's guidance where it names none."""
        return params.resolved(DEFAULT_SEED, self.config.default_guidance)

    @torch.no_grad()
    def encode_image(self, image: Pixels) -> Tensor:
        """uint8 [H,W,3] → the posterior's mode, scaled: z fp32 [C,h,w].

        What overflows in half precision is encoded again in fp32 by torch. ValueError where NaN remains.
        """
        check_picture(image)
        pixels = to_tensor(image[None])
        with memory_guard("encoding the picture"):
            z = self._runtime.encode(pixels)
            if not torch.isfinite(z).all() and self.dtype != torch.float32:
                z = self._on_torch().encode_in_float32(pixels)
        if not torch.isfinite(z).all():
            raise ValueError("the picture could not be encoded, only NaN came out: the weights are damaged")
        return z[0].to("cpu", torch.float32)

    def prepare(
        self, params: SamplingParams, init_image: Pixels | None = None, mask: Pixels | None = None
    ) -> list[Row]:
        """A row for each picture of the batch, ready for `sample_loop`.

        init_image uint8 [H,W,3] is started from, at its own size, the last `strength` of the steps are walked; where
        mask uint8 [H,W] is white (≥ 128) it is repainted. ValueError for what cannot be, before any work.
        """
        if init_image is not None:
            check_picture(init_image)
            params = _sized_as(params, init_image)
        if mask is not None:
            check_mask(mask, init_image)
        params = self.resolved(params)
        params.check(self.limits)
        conditioning = self.condition(params)
        schedule, shape = self.schedule, self.config.latent_shape(params.height, params.width)
        grid = schedule.grid(params.timestep_spacing, params.steps, params.eta)
        z0 = None if init_image is None else self.encode_image(init_image)
        if z0 is not None:
            grid = grid.tail(max(1, min(params.steps, int(params.steps * params.strength))))
        rows = []
        for alone in map(params.image, range(params.batch)):
            assert alone.seed is not None
            masked = None if mask is None or z0 is None else Inpainting(z0, mask, schedule, alone.seed)
            rows.append(start_row(alone, grid, conditioning, shape, z0, masked))
        return rows

    def stream(
        self,
        request: str | SamplingParams,
        *,
        init_image: Pixels | None = None,
        mask: Pixels | None = None,
        **settings: Any,
    ) -> Run:
        """Yield a Step per network call; the generator's return value is the final latents [B,C,h,w].

        `request` is a prompt or a whole request; `settings` are fields of SamplingParams. Picture k of the batch is
        `params.image(k)` alone. init_image and mask as in `prepare`. Step.i never falls and ends at Step.n. Bad
        arguments raise ValueError at once.
        """
        return sample_loop(self.denoise, self.prepare(SamplingParams.of(request, **settings), init_image, mask))

    @torch.no_grad()
    def decode(self, z: Tensor) -> Pixels:
        """Latents [B,C,h,w] → uint8 [B,H,W,3]; above 768 pixels in tiles.

        NaN from half precision is decoded again in fp32 by torch, with a warning. ValueError where NaN remains, for
        latents that are NaN, and for other shapes.
        """
        channels = self.config.first_stage.embed_dim
        if not isinstance(z, Tensor) or z.ndim != 4 or z.shape[1] != channels:
            raise ValueError(f"latents must be a tensor [B,{channels},h,w], not {describe(z)}")
        if not torch.isfinite(z).all():
            raise ValueError(
                "no latents came out, only NaN: the weights are damaged, or the guidance scale is too high"
            )
        with memory_guard("decoding"):
            image = self._decode(z)
        if not torch.isfinite(image).all():  # it would be drawn black
            raise ValueError("no picture came out, only NaN: the weights are damaged")
        return to_uint8(image)

    def _decode(self, z: Tensor) -> Tensor:
        """[B,3,H,W] in about [-1,1]; in fp32 where half precision gives NaN."""
        f = self.config.first_stage.downsampling

        def decode_with(decode: Callable[[Tensor], Tensor]) -> Tensor:
            return decode_tiled(decode, z, f) if f * max(z.shape[-2:]) > WHOLE_PIXELS else decode(z)

        image = decode_with(self._runtime.decode)
        if self.dtype == torch.float32 or torch.isfinite(image).all():
            return image
        warnings.warn(f"decoding in {self.dtype} gave NaN; decoded again in float32", RuntimeWarning, stacklevel=3)
        return decode_with(self._on_torch().decode_in_float32)

    def _on_torch(self) -> TorchRuntime:
        """Eager torch on this pipeline's own model and threads."""
        return TorchRuntime(self.model, self._runtime.threads)

    @torch.no_grad()
    def preview(self, x0: Tensor) -> Pixels:
        """A look at latents [B,C,h,w] by a linear map, fitted on the decoder once; uint8 [B,h',w',3], small."""
        if self._linear_preview is None:
            stage = self.config.first_stage
            self._linear_preview = LinearPreview(self._decode, stage.embed_dim, stage.downsampling)
        return to_uint8(self._linear_preview(x0.cpu().float()))

    def generate(
        self,
        request: str | SamplingParams,
        *,
        init_image: Pixels | None = None,
        mask: Pixels | None = None,
        **settings: Any,
    ) -> Pixels:
        """Arguments as in stream → uint8 [B,H,W,3]. What a mask keeps is the original's but for its `feather`."""
        try:
            latents = finish(self.stream(request, init_image=init_image, mask=mask, **settings))
            return paste_kept(self.decode(latents), init_image, mask)
        except RuntimeFailed as fault:
            log.warning("%s; the picture starts again on torch", fault)
            return self.with_runtime().generate(request, init_image=init_image, mask=mask, **settings)


def _sized_as(params: SamplingParams, init_image: Pixels) -> SamplingParams:
    """The request at the picture's size; ValueError where it asks for another one."""
    sides = dict(zip(("height", "width"), init_image.shape, strict=False))
    for name, side in sides.items():
        if getattr(params, name) not in (None, side):
            asked = getattr(params, name)
            raise ValueError(f"{name} is {asked}, that of init_image {side}: scale the picture, or leave {name} out")
    return replace(params, **sides)


@torch.no_grad()
def _encode(runtime: Runtime, tokenizer: Tokenizer | None, device: torch.device, prompt: str) -> Tensor:
    assert tokenizer is not None
    pieces = [replace(piece, text=tokenizer.clean(piece.text)) for piece in parse(prompt)]
    text = plain(pieces)
    context = runtime.encode_text(tokenizer.encode([text]))[0].to(device)
    if all(piece.weight == 1.0 for piece in pieces):
        return context
    return weigh(context, token_weights(pieces, tokenizer.spans(text), len(context)))
