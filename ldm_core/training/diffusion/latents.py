"""The latent cache: every drawing encoded once per background, so that diffusion steps never see the first stage."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from ldm_core.files import replacing
from ldm_core.images import Pixels, composite, to_tensor
from ldm_core.models.first_stage import FirstStage
from ldm_core.training.common.frozen_parts import declared_scale_factor, encoder_state, weights_hash
from ldm_core.training.common.prefetch import default_workers, prefetch

WHITE = "white"
# On a processor few at once, and channels last: a level's values fit its cache (52 pictures/s against 24).
BATCH = {"cpu": 4, "cuda": 128}


@dataclass(frozen=True)
class LatentCache:
    """Posteriors by pass and row. Pass 0 has every drawing on white, each further pass on one random named colour."""

    moments: Sequence[NDArray[np.float16]]  # per pass [N,2,4,h,w], memory-mapped: mean, std; unscaled
    backgrounds: NDArray[np.int64]  # [passes,N], index into `names`
    names: tuple[str, ...]
    scale_factor: float  # 1 / std of the latents of pass 0

    def sample(self, rows: NDArray[np.integer], passes: NDArray[np.integer], noise: Tensor) -> Tensor:
        """Draws of the posteriors, scaled to std ≈ 1: z fp32 [B,4,h,w]; noise is standard normal of that shape."""
        moments = np.stack([self.moments[p][r] for p, r in zip(passes, rows, strict=True)]).astype(np.float32)
        mean, std = torch.from_numpy(moments).unbind(1)
        return self.scale_factor * (mean + std * noise)


def build_cache(
    directory: Path,
    autoencoder: FirstStage,
    drawings: Pixels,
    palette: Mapping[str, tuple[int, int, int]],
    passes: int,
    device: torch.device | str = "cpu",
) -> None:
    """Encode until `passes` passes are complete; goes on where an earlier call stopped.

    Raises ValueError where the directory was made with other weights.
    """
    directory.mkdir(parents=True, exist_ok=True)
    names, fingerprint = [WHITE, *(n for n in palette if n != WHITE)], weights_hash(encoder_state(autoencoder))
    meta_path = directory / "cache.json"
    meta: dict[str, Any] = {"encoder": fingerprint, "done": {}}
    if meta_path.exists():
        meta = json.loads(meta_path.read_text(encoding="utf-8"))
    if meta["encoder"] != fingerprint:
        raise ValueError(f"{directory} holds latents of another encoder: remove it or choose another directory")
    if meta.get("rows", len(drawings)) != len(drawings):
        raise ValueError(f"{directory} holds latents of another corpus: remove it or choose another directory")
    meta.update(names=names, rows=len(drawings))
    colours = np.array([palette[n] for n in names], np.uint8)
    autoencoder = autoencoder.to(memory_format=torch.channels_last)
    device = torch.device(device)
    batch = BATCH.get(device.type, BATCH["cpu"])
    for number in range(passes):
        done = meta["done"].get(str(number), 0)
        chosen = pass_backgrounds(number, len(drawings), len(names))
        out = _open_pass(directory, number, autoencoder, drawings)
        starts = range(done, len(drawings), batch)
        pictures = prefetch(_Pictures(drawings, colours[chosen], batch), starts, default_workers(device))
        for start, images in zip(tqdm(starts, desc=f"pass {number}", mininterval=10), pictures, strict=True):
            rows = slice(start, start + batch)
            with torch.no_grad():
                posterior = autoencoder.encode(images.to(device, memory_format=torch.channels_last))
            out[rows] = torch.stack([posterior.mean, posterior.std], 1).cpu().numpy().astype(np.float16)
            meta["done"][str(number)] = min(start + batch, len(drawings))
            if start // batch % 200 == 0:
                _checkpoint(out, meta, meta_path)
        _checkpoint(out, meta, meta_path)


@dataclass(frozen=True)
class _Pictures:
    """First row → `batch` drawings from there on, each on its colour, fp32 [B,3,H,W]."""

    drawings: Pixels
    colours: Pixels  # [N,3]
    batch: int

    def __getitem__(self, start: int) -> Tensor:
        rows = slice(start, start + self.batch)
        return to_tensor(composite(np.asarray(self.drawings[rows]), self.colours[rows]))


def open_cache(directory: Path) -> LatentCache:
    """The complete passes of a cache; ValueError where there is none."""
    meta_path = directory / "cache.json"
    if not meta_path.exists():
        raise ValueError(f"no latents in {directory}: run `python -m ldm_core train cache-latents`")
    meta = json.loads(meta_path.read_text(encoding="utf-8"))
    complete = [n for n in range(len(meta["done"])) if meta["done"].get(str(n)) == meta["rows"]]
    if not complete:
        raise ValueError(f"the latents in {directory} are not complete yet: {meta['done']} of {meta['rows']} rows")
    moments = [np.load(_pass_file(directory, n), mmap_mode="r") for n in complete]
    backgrounds = np.stack([pass_backgrounds(n, meta["rows"], len(meta["names"])) for n in complete])
    white = np.asarray(moments[0][:, 0], np.float32)
    return LatentCache(moments, backgrounds, tuple(meta["names"]), float(1 / white.std()))


def find_scale_factor(autoencoder: Path, latents: Path) -> float:
    """What an autoencoder's latents are multiplied by: as its file's own header says, else measured on the cache."""
    declared = declared_scale_factor(autoencoder)
    return open_cache(latents).scale_factor if declared is None else declared


def pass_backgrounds(number: int, rows: int, colours: int) -> NDArray[np.int64]:
    """Which colour each row of a pass stands on: 0 (white) in pass 0, else anything but white."""
    if number == 0:
        return np.zeros(rows, np.int64)
    return np.random.default_rng((7, number)).integers(1, colours, size=rows)


def _pass_file(directory: Path, number: int) -> Path:
    return directory / f"pass-{number}.npy"


def _open_pass(directory: Path, number: int, autoencoder: FirstStage, drawings: Pixels) -> NDArray[np.float16]:
    path, c = _pass_file(directory, number), autoencoder.config
    if path.exists():
        return np.load(path, mmap_mode="r+")
    n, h, w = drawings.shape[:3]
    shape = (n, 2, c.embed_dim, h // c.downsampling, w // c.downsampling)
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)


def _checkpoint(out: NDArray[np.float16], meta: Mapping[str, object], path: Path) -> None:
    if isinstance(out, np.memmap):
        out.flush()
    with replacing(path) as partial:
        partial.write_text(json.dumps(meta), encoding="utf-8")
