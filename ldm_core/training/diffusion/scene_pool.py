"""Composed scenes for diffusion: a rolling pool of latents and caption states, written in chunks beside training.

Training never draws a picture nor runs an encoder: a chunk file holds both frozen parts' answers. Chunk k is a function
of seed and k, and of the mix at the time; round r of training goes once over the chunks r - 7 … r in random order. So a
scene is seen at most eight times, an eighth of the pool is new in every round, and a batch is a function of its step.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from ldm_core.checkpoint.files import write_safetensors
from ldm_core.config import build_config
from ldm_core.data.scenes.captions import Caption
from ldm_core.data.scenes.draw import draw
from ldm_core.data.scenes.sampling import MIX, SceneSampler
from ldm_core.data.scenes.structure import WHOLE_DRAWINGS, SceneKind
from ldm_core.devices import bf16_is_faster
from ldm_core.images import Pixels, to_tensor
from ldm_core.models.first_stage import FirstStage
from ldm_core.text.tokenizer import Tokenizer
from ldm_core.training.common.distributed import WHOLE, Share, own_share
from ldm_core.training.common.frozen_parts import find_run
from ldm_core.training.common.inputs import Inputs
from ldm_core.training.common.loop import WAIT, step_rng, torch_rng
from ldm_core.training.common.settings import dump_settings, require_positive
from ldm_core.training.diffusion.batches import Batch, stratified_timesteps
from ldm_core.training.diffusion.conditions import FrozenText
from ldm_core.training.diffusion.latents import find_scale_factor
from ldm_core.training.diffusion.settings import DiffusionTraining

ENCODED = 16  # pictures at once: of more, a level's values leave the processor's cache
TOGETHER = 4 * ENCODED  # scenes whose captions are encoded at once
MISSING = "{}; is `cache-scenes` running?"  # what is said of a file that is waited for
MOST_THINGS = 2
VALIDATION = {"val": ("heldout.safetensors", 3), "fresh": ("fresh.safetensors", 5)}  # metrics' name → file, seed
SETTINGS = "pool"  # key in the files' metadata: the writer's PoolSettings as JSON

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PoolSettings:
    """How scenes are drawn into chunks, and how often each is seen."""

    mix: Mapping[SceneKind, float] = field(default_factory=lambda: dict(MIX))
    chunk: int = 2400  # scenes in a file
    views: int = 8  # rounds that a chunk stays in the pool
    captions: int = 2  # of each scene
    seed: int = 0
    validation: int = 500  # fresh compositions of trained combinations, and as many of held-out ones

    def __post_init__(self) -> None:
        require_positive(self, "chunk", "views", "captions", "validation")


@dataclass(frozen=True)
class Writer:
    """Draws, encodes and writes chunks."""

    directory: Path
    settings: PoolSettings
    sampler: SceneSampler
    autoencoder: FirstStage
    text: FrozenText

    def chunk(self, number: int) -> Path:
        """Write one chunk unless it is there."""
        return self._write(chunk_file(self.directory, number), self.settings.chunk, (self.settings.seed, number))

    def validation(self) -> None:
        """Write the two validation sets unless they are there: compositions only, as the sampler's mix has them.

        ValueError where the directory's chunks have another size, or stay in the pool for another number of rounds.
        """
        composed = {k: v for k, v in self.settings.mix.items() if k not in WHOLE_DRAWINGS}
        for name, (file, seed) in VALIDATION.items():
            sampler = SceneSampler(self.sampler.corpus, self.sampler.drawings, composed, trained=name != "val")
            writer = replace(self, sampler=sampler)
            writer._write(self.directory / file, self.settings.validation, (self.settings.seed, 2**31, seed))
        there = pool_settings(self.directory)
        if (there.chunk, there.views) != (self.settings.chunk, self.settings.views):
            raise ValueError(
                f"{self.directory} has chunk={there.chunk} and views={there.views}, not chunk={self.settings.chunk} "
                f"and views={self.settings.views}: choose another directory"
            )

    def _write(self, path: Path, n: int, seed: tuple[int, ...]) -> Path:
        if path.exists():
            return path
        self.directory.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        parts: dict[str, list[Tensor]] = {}
        for start in range(0, n, TOGETHER):
            for name, value in self._encode(rng, min(TOGETHER, n - start)).items():
                parts.setdefault(name, []).append(value)
        empty = self.text(self.text.read([""]))[0].half()  # first: a file's numbers of two bytes begin at even ones
        tensors = {"empty": empty, **{name: torch.cat(values) for name, values in parts.items()}}
        write_safetensors(path, tensors, {SETTINGS: dump_settings(self.settings)})
        return path

    def _encode(self, rng: np.random.Generator, n: int) -> dict[str, Tensor]:
        """n scenes: moments fp16 [n,2,4,h,w], states fp16 [n,K,L,D], owner uint8 [n,h,w], words int8 [n,K,2]."""
        scenes = [self.sampler(rng) for _ in range(n)]
        captions = [self.sampler.caption(s, rng) for s in scenes for _ in range(self.settings.captions)]
        pictures, owners = zip(*(draw(s, self.sampler.drawings) for s in scenes), strict=True)
        images = to_tensor(np.stack(pictures)).contiguous(memory_format=torch.channels_last)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16_is_faster()):
            posteriors = [self.autoencoder.encode(part) for part in torch.split(images, ENCODED)]
            states = self.text(self.text.read([c.text for c in captions]))
        moments = torch.cat([torch.stack([p.mean, p.std], 1) for p in posteriors])
        words = torch.tensor([thing_tokens(c, self.text.tokenizer) for c in captions], dtype=torch.int8)
        return {
            "moments": moments.half(),
            "states": states.half().reshape(n, -1, *states.shape[1:]),
            "owner": torch.from_numpy(np.stack([cells(o, moments.shape[-1]) for o in owners])),
            "words": words.reshape(n, -1, MOST_THINGS),
        }


def thing_tokens(caption: Caption, tokenizer: Tokenizer) -> list[int]:
    """Position in the context of each thing's last token, -1 where there is no such thing or it was cut off."""
    found = tokenizer.columns_ending_at(caption.text, [end for _, end in caption.spans])
    return found + [-1] * (MOST_THINGS - len(found))


def cells(owner: Pixels, side: int) -> Pixels:
    """uint8 [H,W] → [side,side]: which thing has most of a latent cell's pixels, 0 where none has a fourth."""
    f = owner.shape[0] // side
    blocks = owner.reshape(side, f, side, f)
    shares = np.stack([(blocks == i + 1).mean((1, 3)) for i in range(MOST_THINGS)])
    return np.where(shares.max(0) >= 0.25, shares.argmax(0) + 1, 0).astype(np.uint8)


def chunk_file(directory: Path, number: int) -> Path:
    """Where a chunk lies."""
    return directory / f"chunk-{number:05d}.safetensors"


def pool_settings(directory: Path) -> PoolSettings:
    """What a pool was written with, out of its validation set; the defaults for a pool older than that record."""
    with safe_open(str(directory / VALIDATION["val"][0]), framework="pt") as file:
        return build_config(PoolSettings, json.loads((file.metadata() or {}).get(SETTINGS, "{}")))


@lru_cache(maxsize=16)
def _open(path: Path) -> dict[str, Tensor]:
    with safe_open(str(path), framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@dataclass(frozen=True)
class ScenePool:
    """Step → batch out of the chunks; whoever wants one asks first what is `missing`."""

    directory: Path
    settings: PoolSettings
    scale_factor: float
    timesteps: int
    size: int  # samples of a step, over all processes
    seed: int
    caption_dropout: float
    share: Share = WHOLE

    def __post_init__(self) -> None:
        if self.settings.chunk % self.size:
            raise ValueError(f"a chunk of {self.settings.chunk} scenes is no multiple of the batch of {self.size}")

    def __getitem__(self, step: int) -> Batch:
        """This process's share of a training step."""
        number, at = self._round(step)
        chunks = self._chunks(number)
        order = self._order(number, len(chunks) * self.settings.chunk)
        rows = order[at * self.size : (at + 1) * self.size]
        return self._batch([self._row(chunks[0], int(r)) for r in rows], step_rng(self.seed, step), self.share)

    def missing(self, step: int) -> str | None:
        """The first chunk of a step's round that is not written yet: of several writers one may be behind."""
        files = (chunk_file(self.directory, chunk) for chunk in self._chunks(self._round(step)[0]))
        return next((MISSING.format(file) for file in files if not file.exists()), None)

    def _round(self, step: int) -> tuple[int, int]:
        return round_of(step, self.settings.chunk // self.size, self.settings.views)

    def _chunks(self, number: int) -> range:
        """The chunks that a round goes over."""
        return range(max(0, number - self.settings.views + 1), number + 1)

    def validation(self) -> Iterator[tuple[str, Iterator[Batch]]]:
        """Compositions with a held-out combination as "val", new ones of trained combinations as "fresh"."""
        for name, (file, _) in VALIDATION.items():
            yield name, self._held(_open(self.directory / file))

    def _held(self, chunk: dict[str, Tensor]) -> Iterator[Batch]:
        rng, n = step_rng(self.seed, 0, stream=1), len(chunk["moments"])
        for rows in np.array_split(np.arange(n), -(-n // 64)):
            yield self._batch([(chunk, int(r)) for r in rows], rng, WHOLE, dropout=0.0)

    @property
    def latent_shape(self) -> Sequence[int]:
        """[C,h,w] of its latents."""
        return _open(self.directory / VALIDATION["val"][0])["moments"].shape[2:]

    def _row(self, first: int, row: int) -> tuple[dict[str, Tensor], int]:
        chunk, at = divmod(row, self.settings.chunk)
        return _open(chunk_file(self.directory, first + chunk)), at

    def _order(self, number: int, scenes: int) -> NDArray[np.int64]:
        return np.random.default_rng((self.seed, number, 3)).permutation(scenes)

    def _batch(
        self,
        rows: Sequence[tuple[dict[str, Tensor], int]],
        rng: np.random.Generator,
        share: Share,
        dropout: float | None = None,
    ) -> Batch:
        n, own = len(rows), share.of(len(rows))
        chosen = rng.integers(rows[0][0]["states"].shape[1], size=n)
        dropped = rng.random(n) < (self.caption_dropout if dropout is None else dropout)
        shape = rows[0][0]["moments"].shape[2:]
        jitter, noise = (torch.randn((n, *shape), generator=torch_rng(rng))[own] for _ in range(2))
        t = stratified_timesteps(rng, n, self.timesteps)[own]
        mine, captions, drop = rows[own], chosen[own], torch.from_numpy(dropped[own])
        empty = torch.stack([chunk["empty"] for chunk, _ in mine])
        mean, std = torch.stack([chunk["moments"][row] for chunk, row in mine]).float().unbind(1)
        owner = torch.stack([chunk["owner"][row] for chunk, row in mine])
        states = torch.stack([chunk["states"][row, k] for (chunk, row), k in zip(mine, captions, strict=True)])
        words = torch.stack([chunk["words"][row, k] for (chunk, row), k in zip(mine, captions, strict=True)])
        states[drop], words[drop] = empty[drop], -1
        return Batch(self.scale_factor * (mean + std * jitter), states.float(), t, noise, owner, words)


def round_of(step: int, steps: int, views: int) -> tuple[int, int]:
    """(round, step within it) where round r has min(r + 1, views) times `steps` steps."""
    for number in range(views - 1):
        if step < (number + 1) * steps:
            return number, step
        step -= (number + 1) * steps
    later, at = divmod(step, views * steps)
    return views - 1 + later, at


def scene_batches(settings: DiffusionTraining, inputs: Inputs, accelerator: Accelerator) -> ScenePool:
    """What a run on composed scenes trains on: the chunks that `cache-scenes` writes beside it, as it writes them."""
    assert inputs.scenes is not None
    first = inputs.scenes / VALIDATION["val"][0]  # says how the chunks are written
    if not first.exists():
        log.warning("waiting for %s", MISSING.format(first))
    while not first.exists():
        time.sleep(WAIT)
    return ScenePool(
        inputs.scenes,
        pool_settings(inputs.scenes),
        scale_factor=find_scale_factor(find_run(inputs.autoencoder), inputs.latents_dir),
        timesteps=settings.model.schedule.timesteps,
        size=settings.loop.batch,
        seed=settings.loop.seed,
        caption_dropout=settings.caption_dropout,
        share=own_share(accelerator),
    )
