"""Text to image, image to image, inpainting: one call, step by step if wanted."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ldm_core.checkpoint import load_model
from ldm_core.config import MAX_SEED, ModelConfig, TimestepSpacing
from ldm_core.devices import memory_guard, resolve_device, resolve_dtype
from ldm_core.diffusion.class_conditioning import class_conditioning
from ldm_core.diffusion.denoiser import Conditioning, Denoiser, ModelInput, Prediction
from ldm_core.diffusion.inpainting import Inpainting
from ldm_core.diffusion.samplers import SAMPLERS, SamplerCoroutine, advance, ddim
from ldm_core.diffusion.schedule import TimestepGrid
from ldm_core.images import Pixels
from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.text.prompt_syntax import parse, plain
from ldm_core.text.prompt_weighting import token_weights, weigh
from ldm_core.text.tokenizer import Tokenizer

PREVIEW_CELLS = 16  # a preview decodes at most 16×16 latent cells, whatever the picture's size


@dataclass(frozen=True, eq=False)
class Step:
    """One answered question of a batch, asked in step i of n at timestep t; x, eps, x0 are fp32 [B,C,h,w]."""

    i: int
    n: int
    t: float
    x: Tensor
    eps: Tensor
    x0: Tensor


Run = Generator[Step, None, Tensor]


def load(path: str | Path, device: str = "auto", dtype: str = "auto") -> Pipeline:
    """A pipeline from our safetensors, an SD v1 single file (.safetensors, .ckpt) or a diffusers folder.

    Raises CheckpointError for a file that is none of these, ValueError for an unknown device or dtype.
    """
    where = resolve_device(device)
    precision = resolve_dtype(dtype, where)
    loaded = load_model(path, dtype=precision, device=where)
    tokenizer = Tokenizer.load(loaded.tokenizer_dir, loaded.config.text.text_len) if loaded.config.text else None
    return Pipeline(loaded.model, tokenizer, name=Path(path).stem, sha256=loaded.sha256)


class Pipeline:
    """A loaded model that makes pictures. Not thread-safe: one caller at a time."""

    def __init__(
        self, model: LatentDiffusion, tokenizer: Tokenizer | None, name: str = "model", sha256: str = ""
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.config: ModelConfig = model.config
        self.tokenizer = tokenizer
        self.weights_name = name
        self.weights_sha256 = sha256
        parameter = next(model.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self.denoise = Denoiser(model.apply_model, model.schedule, model.config.parameterization, self.device)
        self._context = lru_cache(maxsize=256)(self._encode_one)

    # -- the path of a picture, in order ---------------------------------------------------------------------------

    def encode_prompt(self, prompt: str) -> Tensor:
        """Prompt, perhaps with weights (see prompt_syntax), → context [L,D]; what does not fit is dropped. Cached."""
        return self._context(prompt)

    @torch.no_grad()
    def _encode_one(self, prompt: str) -> Tensor:
        if self.tokenizer is None:
            raise ValueError(f"{self.weights_name} has no text encoder: it cannot follow a prompt")
        pieces = parse(prompt)
        text = plain(pieces)
        ids = self.tokenizer.encode([text]).to(self.device)
        context: Tensor = self.model.cond_stage_model(ids)[0]
        if all(piece.weight == 1.0 for piece in pieces):
            return context
        return weigh(context, token_weights(pieces, self.tokenizer.spans(text), len(context)))

    def condition(self, prompt: str, negative_prompt: str, scale: float, label: int | None = None) -> Conditioning:
        """What a row is told: prompts, or for a model without a text encoder a class (label) or nothing at all."""
        if self.tokenizer is None:
            return class_conditioning(self.config, prompt, negative_prompt, label, scale)
        if label is not None:
            raise ValueError(f"{self.weights_name} follows a prompt: it takes no class")
        return Conditioning(self.encode_prompt(prompt), self.encode_prompt(negative_prompt), scale)

    @torch.no_grad()
    def encode_image(self, image: Pixels) -> Tensor:
        """uint8 [H,W,3] → the posterior's mode, scaled: z fp32 [C,h,w]."""
        pixels = torch.tensor(image).permute(2, 0, 1)[None].float() / 127.5 - 1.0
        with memory_guard("encoding the picture"):
            mode = self.model.encode_first_stage(pixels.to(self.device, self.dtype)).mode()
        return (self.config.scale_factor * mode[0]).to("cpu", torch.float32)

    def stream(
        self,
        prompt: str,
        negative_prompt: str = "",
        steps: int = 25,
        eta: float = 0.0,
        guidance_scale: float = 5.0,
        sampler: str = "ddim",
        seed: int = 7,
        batch: int = 1,
        height: int | None = None,
        width: int | None = None,
        init_image: Pixels | None = None,
        strength: float = 0.75,
        mask: Pixels | None = None,
        grid: TimestepSpacing = "uniform",
        label: int | None = None,
    ) -> Run:
        """Yield a Step per question; the generator's return value is the final latents [B,C,h,w].

        Step.i never falls and ends at Step.n; samplers that ask twice in a step (heun, plms in its first) yield two
        Steps of the same i. Image k of the batch is the image of seed + k. init_image uint8 [H,W,3] with strength in
        (0,1] starts from a picture; mask uint8 [H,W], white (≥ 128) is repainted. `grid` names the step grid; `label`
        is the class of a class-conditional model, which takes "" as its prompt. Bad arguments raise ValueError at once.
        """
        if init_image is not None:
            height, width = init_image.shape[:2]
        shape = self.config.latent_shape(height, width)
        self.check(steps, eta, guidance_scale, sampler, batch, strength, init_image, mask)
        check_seeds(seed, seed + batch - 1)
        cond = self.condition(prompt, negative_prompt, guidance_scale, label)
        path = self.model.schedule.grid(grid, steps, eta)
        z0 = None if init_image is None else self.encode_image(init_image)
        if z0 is not None:
            path = path.tail(max(1, min(steps, int(steps * strength))))
        starts = [self._start(sampler, path, shape, seed + k, z0, mask) for k in range(batch)]
        return self.drive([t for t, _ in starts], [a for _, a in starts], [cond] * batch, len(path))

    def _start(
        self,
        sampler: str,
        grid: TimestepGrid,
        shape: tuple[int, int, int],
        seed: int,
        z0: Tensor | None,
        mask: Pixels | None,
    ) -> tuple[SamplerCoroutine, Callable[[ModelInput, Prediction], Prediction]]:
        """One image's coroutine, and what to do to each of its answers."""
        generator = torch.Generator().manual_seed(seed)

        def noise() -> Tensor:
            return torch.randn(shape, generator=generator)

        x = noise()
        if z0 is None:
            return SAMPLERS[sampler](x, grid, noise=noise), unchanged
        a = grid.alpha_bar[0]
        x = a.sqrt() * z0 + (1.0 - a).sqrt() * x
        if mask is None:
            return SAMPLERS[sampler](x, grid, noise=noise), unchanged
        inpainting = Inpainting(z0, mask, self.model.schedule, seed)
        if sampler == "ddim":
            return ddim(x, grid, noise=noise, blend=inpainting.blend), unchanged
        return SAMPLERS[sampler](x, grid, noise=noise), inpainting.correct

    def drive(
        self,
        trajectories: Sequence[SamplerCoroutine],
        correct: Sequence[Callable[[ModelInput, Prediction], Prediction]],
        conditionings: Sequence[Conditioning],
        n: int,
    ) -> Run:
        """Gather everyone's questions, answer them in one batch, send the answers back."""
        queries = [next(t) for t in trajectories]
        while True:
            with memory_guard("denoising"):
                answers = self.denoise(queries, conditionings)
            answers = [f(q, a) for f, q, a in zip(correct, queries, answers, strict=True)]
            x = torch.stack([q.x for q in queries])
            eps, x0 = torch.stack([a.eps for a in answers]), torch.stack([a.x0 for a in answers])
            yield Step(queries[0].step + 1, n, float(queries[0].t), x, eps, x0)
            found = advance(trajectories, answers)
            if isinstance(found, Tensor):
                return found
            queries = found

    @torch.no_grad()
    def decode(self, z: Tensor) -> Pixels:
        """Latents [B,C,h,w] → uint8 [B,H,W,3]. NaN from half precision is decoded again in fp32, with a warning."""
        with memory_guard("decoding"):
            image = self.model.decode_first_stage(z.to(self.device, self.dtype)).float()
            if not torch.isfinite(image).all() and self.dtype != torch.float32:
                warnings.warn(
                    f"decoding in {self.dtype} gave NaN; decoded again in float32", RuntimeWarning, stacklevel=2
                )
                stage = self.model.first_stage_model.float()
                try:
                    image = self.model.decode_first_stage(z.to(self.device, torch.float32))
                finally:  # also where memory runs out: the next picture is decoded in half precision again
                    stage.to(self.dtype)
        pixels = ((image.clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)
        return pixels.permute(0, 2, 3, 1).cpu().numpy()

    def preview(self, x0: Tensor) -> Pixels:
        """A cheap look at latents [B,C,h,w]: averaged down to at most 16×16 cells, then decoded; uint8 [B,h',w',3]."""
        factor = math.ceil(max(x0.shape[-2:]) / PREVIEW_CELLS)
        return self.decode(F.avg_pool2d(x0, factor) if factor > 1 else x0)

    def generate(
        self,
        prompt: str,
        negative_prompt: str = "",
        steps: int = 25,
        eta: float = 0.0,
        guidance_scale: float = 5.0,
        sampler: str = "ddim",
        seed: int = 7,
        batch: int = 1,
        height: int | None = None,
        width: int | None = None,
        init_image: Pixels | None = None,
        strength: float = 0.75,
        mask: Pixels | None = None,
        grid: TimestepSpacing = "uniform",
        label: int | None = None,
    ) -> Pixels:
        """Arguments as in stream → uint8 [B,H,W,3]. Where a mask keeps a pixel, it is the original's."""
        run = self.stream(
            prompt, negative_prompt, steps, eta, guidance_scale, sampler, seed, batch, height, width,
            init_image, strength, mask, grid, label,
        )  # fmt: skip
        return paste_kept(self.decode(finish(run)), init_image, mask)

    def check(
        self, steps: int, eta: float, guidance_scale: float, sampler: str, batch: int, strength: float,
        init_image: Pixels | None, mask: Pixels | None,
    ) -> None:  # fmt: skip
        """ValueError with one sentence for the first of a stream's arguments that cannot be."""
        T = self.model.schedule.num_timesteps
        faults = {
            f"steps must lie in 1…{T}, not {steps}": not 1 <= steps <= T,
            f"eta must lie in 0…1, not {eta}": not 0.0 <= eta <= 1.0,
            f"guidance_scale must be a finite number, not {guidance_scale}": not math.isfinite(guidance_scale),
            f"sampler must be one of {', '.join(SAMPLERS)}, not {sampler!r}": sampler not in SAMPLERS,
            f"batch must be at least 1, not {batch}": batch < 1,
            f"strength must lie above 0 and up to 1, not {strength}": not 0.0 < strength <= 1.0,
            "a mask needs an init_image to keep": mask is not None and init_image is None,
            "the mask must have the picture's height and width": mask is not None
            and init_image is not None
            and mask.shape[:2] != init_image.shape[:2],
        }
        for message, wrong in faults.items():
            if wrong:
                raise ValueError(message)


def check_seeds(*seeds: int) -> None:
    """ValueError for a seed that is no image's: below 0, or past what fits into 32 bits."""
    for seed in seeds:
        if not 0 <= seed <= MAX_SEED:
            raise ValueError(f"seeds must lie in 0…{MAX_SEED}, not {seed}")


def finish(run: Run, each: Callable[[Step], object] = lambda step: None) -> Tensor:
    """Exhaust a stream for its final latents [B,C,h,w]; `each` sees every step."""
    while True:
        try:
            each(next(run))
        except StopIteration as end:
            return end.value


def paste_kept(images: Pixels, init_image: Pixels | None, mask: Pixels | None) -> Pixels:
    """Images uint8 [B,H,W,3] with the original's pixels where mask [H,W] is black; unchanged without a mask."""
    if init_image is None or mask is None:
        return images
    return np.where(mask[None, :, :, None] >= 128, images, init_image[None])


def unchanged(_query: ModelInput, answer: Prediction) -> Prediction:
    """Leave an answer as it is."""
    return answer
