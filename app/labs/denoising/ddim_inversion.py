"""A picture walked back to its noise by DDIM and forward again, and how far it misses itself."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.engine import Stepped
from app.i18n import say
from app.labs.common.plot import Axis, Plot, Series
from app.labs.denoising.plots import rms
from ldm_core.diffusion.denoiser import Conditioning
from ldm_core.diffusion.inversion import ddim_inversion
from ldm_core.diffusion.samplers import SamplerCoroutine, advance, ddim
from ldm_core.evaluation.metrics import psnr
from ldm_core.images import Pixels

if TYPE_CHECKING:
    from ldm_core.pipeline import Pipeline


@dataclass(frozen=True, eq=False)
class Inverted:
    """The picture as the autoencoder has it, its noise decoded, and what comes back, uint8 [H,W,3] each.

    t and apart [n+1]: RMS between the way up and the way down, from the noise (0 there) to the latent, whose error
    `error` is. noise_std is 1 where the noise has the spread the model was trained to start from.
    """

    original: Pixels
    noise: Pixels
    back: Pixels
    t: NDArray[np.float64]
    apart: NDArray[np.float64]
    noise_std: float
    psnr: float

    @property
    def error(self) -> float:
        """RMS error of the latent after there and back."""
        return float(self.apart[-1])


def inverted(
    pipe: Pipeline, picture: Pixels, prompt: str, steps: int, refine: int
) -> Generator[Stepped, None, Inverted]:
    """uint8 [H,W,3] → noise → picture, conditioned on a prompt (may be empty) without guidance, over `steps` steps."""
    z = pipe.encode_image(picture)
    grid = pipe.model.schedule.grid("uniform", steps, 0.0)
    cond = Conditioning(pipe.encode_prompt(prompt))
    total = steps * (2 + refine)
    up = yield from _path(pipe, ddim_inversion(z, grid, refine=refine), cond, 0, total)
    down = yield from _path(pipe, ddim(up[-1], grid, noise=lambda: torch.zeros_like(z)), cond, total - steps, total)
    original, noise, back = pipe.decode(torch.stack([z, up[-1], down[-1]]))
    apart = [rms(a - b) for a, b in zip(reversed(up), down, strict=True)]
    closeness = psnr(*(torch.tensor(p).permute(2, 0, 1)[None].float() / 127.5 - 1.0 for p in (original, back)))
    t = np.append(grid.t.double().numpy(), 0.0)
    return Inverted(original, noise, back, t, np.array(apart), float(up[-1].std()), float(closeness))


def _path(
    pipe: Pipeline, trajectory: SamplerCoroutine, cond: Conditioning, done: int, total: int
) -> Generator[Stepped, None, list[Tensor]]:
    """x [C,h,w] at the beginning of every step, and at the end."""
    path: list[Tensor] = []
    query = next(trajectory)
    while True:
        if query.step == len(path):  # further questions of the same step refine it
            path.append(query.x)
        answers = pipe.denoise([query], [cond])
        done += 1
        yield Stepped(done, total, float(query.t), 0.0, None)
        found = advance([trajectory], answers)
        if isinstance(found, Tensor):
            return [*path, found[0]]
        query = found[0]


def inversion_plot(made: Inverted, lang: str) -> Plot:
    """How far the way down is from the way up, over t."""
    return Plot(
        title=say(lang, "inversion_plot"),
        x=Axis(say(lang, "axis_t")),
        y=Axis("RMS"),
        series=(Series("x_t", made.t[::-1], made.apart[::-1], 0),),
        summary=say(
            lang, "inversion_summary", error=f"{made.error:.3g}", psnr=f"{made.psnr:.1f}", std=f"{made.noise_std:.3f}"
        ),
        formula=r"x_{t+1} = \sqrt{\bar\alpha_{t+1}}\,\hat x_0(x_t) + \sqrt{1-\bar\alpha_{t+1}}\,\epsilon(x_t, t)",
        source="ldm_core.diffusion.inversion.ddim_inversion",
    )
