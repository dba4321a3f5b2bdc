"""The first stage taken apart: what a picture becomes, what comes back, and what lies between two pictures."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.engine import Stepped
from app.i18n import say
from app.labs.common.plot import Axis, Heat, Plot
from ldm_core.evaluation.metrics import psnr, ssim
from ldm_core.evaluation.reconstruction import Distance, lpips_distance
from ldm_core.images import Pixels, to_tensor

if TYPE_CHECKING:
    from ldm_core.pipeline import Pipeline

Floats = NDArray[np.floating]
Mix = Literal["blend", "swap"]
DONE = Stepped(1, 1, 0.0, 0.0, None)


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A picture's posterior [C,h,w] and what a latent drawn from it decodes to; psnr in dB, kl in nats over [h,w].

    lpips is of AlexNet's shape with a random trunk: it compares reconstructions, and is not the published distance.
    """

    mean: Floats
    std: Floats
    reconstruction: Pixels
    error: Floats  # [H,W], mean absolute difference of a pixel's channels, in [0, 1]
    psnr: float
    ssim: float
    lpips: float
    kl: Floats


@lru_cache(maxsize=1)
def _lpips() -> Distance:
    """The same one every time; its trained trunk would have to be downloaded."""
    distance, _ = lpips_distance("alex", "random")
    assert distance is not None
    return distance


def _tensor(picture: Pixels) -> Tensor:
    return to_tensor(picture[None])


@torch.no_grad()
def _posterior(pipe: Pipeline, picture: Pixels) -> tuple[Tensor, Tensor]:
    """(mean, std) [1,C,h,w] on the CPU, unscaled."""
    posterior = pipe.model.encode_first_stage(_tensor(picture).to(pipe.device, pipe.dtype))
    return posterior.mean.float().cpu(), posterior.std.float().cpu()


def reconstruct(pipe: Pipeline, picture: Pixels, noise: float, seed: int) -> Generator[Stepped, None, Reconstruction]:
    """Encode uint8 [H,W,3] and decode mean + noise · std · N(0,1): noise 0 is the mode, 1 a sample of the posterior."""
    mean, std = _posterior(pipe, picture)
    generator = torch.Generator().manual_seed(seed)
    z = mean + noise * std * torch.randn(mean.shape, generator=generator)
    yield DONE
    back = pipe.decode(pipe.config.scale_factor * z)[0]
    a, b = _tensor(picture), _tensor(back)
    error = (a - b).abs().mean(dim=1)[0].numpy() / 2
    kl = 0.5 * (mean**2 + std**2 - 1.0 - (std**2).clamp_min(1e-30).log()).sum(dim=1)[0].numpy()
    close = float(psnr(a, b)), float(ssim(a, b)), float(_lpips()(a, b))
    return Reconstruction(mean[0].numpy(), std[0].numpy(), back, error, *close, kl)


def mix_latents(pipe: Pipeline, a: Pixels, b: Pixels, share: float, how: Mix) -> Generator[Stepped, None, Pixels]:
    """Two pictures' latents in one: blended, or the right `share` of columns taken from b; decoded uint8 [H,W,3]."""
    za, zb = pipe.encode_image(a), pipe.encode_image(b)
    yield DONE
    if how == "blend":
        z = (1.0 - share) * za + share * zb
    else:
        cut = round((1.0 - share) * za.shape[-1])
        z = torch.cat([za[..., :cut], zb[..., cut:]], dim=-1)
    return pipe.decode(z[None])[0]


def shift_channel(pipe: Pipeline, picture: Pixels, channel: int, amount: float) -> Generator[Stepped, None, Pixels]:
    """The picture decoded with `amount` (in the scaled latent's standard deviations) added to one channel."""
    z = pipe.encode_image(picture)
    yield DONE
    z[channel] += amount
    return pipe.decode(z[None])[0]


def sample_prior(pipe: Pipeline, count: int, seed: int) -> Generator[Stepped, None, Pixels]:
    """What the decoder makes of pure noise N(0, I) in the scaled latent: uint8 [count,H,W,3]."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn((count, *pipe.config.latent_shape()), generator=generator)
    yield DONE
    return pipe.decode(z)


def kl_plot(kl: Floats, lang: str) -> Plot:
    """Nats per position."""
    h, w = kl.shape
    return Plot(
        title=say(lang, "kl_plot"),
        x=Axis(say(lang, "axis_column")),
        y=Axis(say(lang, "axis_row"), range=(h - 0.5, -0.5)),
        heat=Heat(np.arange(w, dtype=float), np.arange(h, dtype=float), kl.astype(np.float64), "KL", square=True),
        summary=say(lang, "kl_summary", total=f"{kl.sum():.0f}", mean=f"{kl.mean():.1f}", most=f"{kl.max():.1f}"),
        formula=r"\mathrm{KL} = \tfrac12 \sum (\mu^2 + \sigma^2 - 1 - \log \sigma^2)",
        source="app.labs.autoencoder.reconstruction.reconstruct",
    )
