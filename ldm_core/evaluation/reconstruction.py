"""What the first stage keeps of a drawing: PSNR, SSIM, LPIPS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ldm_core.data.colours import BACKGROUNDS
from ldm_core.data.corpus import Corpus
from ldm_core.evaluation.metrics import psnr, ssim
from ldm_core.evaluation.pictures import Progress, composite_rows, contact_sheet, sample_indices
from ldm_core.evaluation.report import Metric, Part
from ldm_core.evaluation.settings import EvaluationSettings
from ldm_core.images import Pixels, to_tensor
from ldm_core.losses.perceptual import make_lpips
from ldm_core.pipeline import Pipeline

BATCH = 8
Distance = Callable[[Tensor, Tensor], Tensor]


@torch.no_grad()
def reconstruct(pipe: Pipeline, images: Pixels) -> Pixels:
    """uint8 [N,H,W,3] → decoded from the posterior's mode, as uint8."""
    latents = [pipe.encode_image(image) for image in images]
    return np.concatenate([pipe.decode(torch.stack(latents[i : i + BATCH])) for i in range(0, len(latents), BATCH)])


def lpips_distance(net: str, trunk: str) -> tuple[Distance | None, str]:
    """(LPIPS, what to call it) for a trunk "random", "off" or a file; the random one is the same every time."""
    if trunk == "off":
        return None, "LPIPS off"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = make_lpips(trunk, net)  # type: ignore[arg-type]
    return (
        model,
        f"{net}, random trunk: no stand-in for the trained one" if trunk == "random" else f"{net}, {Path(trunk).name}",
    )


@torch.no_grad()
def closeness(real: Pixels, made: Pixels, distance: Distance | None) -> dict[str, float]:
    """Means over pictures uint8 [N,H,W,3]: psnr in dB, ssim, and lpips where there is a distance."""
    found: dict[str, list[Tensor]] = {"psnr": [], "ssim": [], "lpips": []}
    for i in range(0, len(real), BATCH):
        a, b = to_tensor(real[i : i + BATCH]), to_tensor(made[i : i + BATCH])
        found["psnr"].append(psnr(a, b))
        found["ssim"].append(ssim(a, b))
        if distance is not None:
            found["lpips"].append(distance(a, b).flatten())
    return {name: float(torch.cat(values).mean()) for name, values in found.items() if values}


def reconstruction(pipe: Pipeline, corpus: Corpus, settings: EvaluationSettings, progress: Progress) -> Part:
    """Held-out drawings on white, and the same ones on random named colours."""
    rows = corpus.heldout[sample_indices(len(corpus.heldout), settings.reconstructions, settings.seed)]
    colours = np.random.default_rng(settings.seed).choice(list(BACKGROUNDS)[1:], len(rows))
    distance, called = lpips_distance(settings.lpips_net, settings.lpips_trunk)
    progress("autoencoder", 0)
    white, coloured = composite_rows(corpus, rows), composite_rows(corpus, rows, [str(c) for c in colours])
    again = reconstruct(pipe, white), reconstruct(pipe, coloured)
    on_white, on_colour = closeness(white, again[0], distance), closeness(coloured, again[1], distance)
    targets = {"psnr": 29.0, "ssim": 0.93, "lpips": None}
    names = {"psnr": "PSNR, dB", "ssim": "SSIM", "lpips": "LPIPS"}
    notes = {"lpips": called} if distance is not None else {"psnr": called}
    metrics = [
        Metric(f"autoencoder {names[k]}", v, len(rows), target=targets[k], note=notes.get(k, ""))
        for k, v in on_white.items()
    ]
    metrics += [Metric(f"autoencoder {names[k]}, coloured", v, len(rows)) for k, v in on_colour.items()]
    shown = contact_sheet(
        [np.stack([w, c], 1).reshape(-1, *w.shape[1:]) for w, c in ((white, coloured), again)], 12, 128, 48
    )
    return Part(metrics, {"lpips": called}, {"autoencoder": shown})
