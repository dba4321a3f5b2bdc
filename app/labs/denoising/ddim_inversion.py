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
from app.labs.common.runs import follow_run
from app.labs.denoising.plots import rms
from ldm_core.diffusion.denoiser import Conditioning
from ldm_core.diffusion.inversion import ddim_inversion
from ldm_core.diffusion.sample_loop import Row, sample_loop
from ldm_core.diffusion.samplers import ddim
from ldm_core.evaluation.metrics import psnr
from ldm_core.images import Pixels, to_tensor

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


def invert(pipe: Pipeline, picture: Pixels, prompt: str, steps: int, refine: int) -> Generator[Stepped, None, Inverted]:
    """uint8 [H,W,3] → noise → picture, conditioned on a prompt (may be empty) without guidance, over `steps` steps."""
    z = pipe.encode_image(picture)
    grid = pipe.schedule.grid("uniform", steps, 0.0)
    cond = Conditioning(pipe.encode_prompt(prompt))
    total = steps * (2 + refine)
    up = yield from _path(pipe, Row(ddim_inversion(z, grid, refine=refine), cond, steps), 0, total)
    forward = ddim(up[-1], grid, noise=lambda: torch.zeros_like(z))
    down = yield from _path(pipe, Row(forward, cond, steps), total - steps, total)
    original, noise, back = pipe.decode(torch.stack([z, up[-1], down[-1]]))
    apart = [rms(a - b) for a, b in zip(reversed(up), down, strict=True)]
    closeness = psnr(to_tensor(original[None]), to_tensor(back[None]))
    t = np.append(grid.t.double().numpy(), 0.0)
    return Inverted(original, noise, back, t, np.array(apart), float(up[-1].std()), float(closeness))


def _path(pipe: Pipeline, row: Row, done: int, total: int) -> Generator[Stepped, None, list[Tensor]]:
    """x [C,h,w] at the beginning of every step, and at the end; `done` of `total` network calls came before."""
    path: dict[int, Tensor] = {}
    run = follow_run(sample_loop(pipe.denoise, [row]), lambda step: path.setdefault(step.i, step.x[0]))
    while True:
        try:
            event = next(run)
        except StopIteration as end:
            return [*path.values(), end.value[0]]
        done += 1
        yield Stepped(done, total, event.t, 0.0, None)


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
