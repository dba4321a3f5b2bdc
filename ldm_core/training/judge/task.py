"""Training the judge that `evaluate` asks: on the training drawings, apart from every encoder of the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ldm_core.checkpoint.judge import save_judge
from ldm_core.data.augment import random_backgrounds
from ldm_core.data.colours import BACKGROUNDS, THING_COLOURS
from ldm_core.data.corpus import Corpus
from ldm_core.data.kinds import heldout_captions, kind
from ldm_core.data.scenes.recolour import recolour
from ldm_core.data.scenes.structure import held_out
from ldm_core.data.scenes.things import things_by_concept
from ldm_core.evaluation.metrics import top_share
from ldm_core.images import Pixels
from ldm_core.models.judge import Judge, JudgeConfig, name_words
from ldm_core.training.common.ema import LitEma, ema_scope
from ldm_core.training.common.inputs import Inputs
from ldm_core.training.common.loop import optimize, step_rng, torch_rng
from ldm_core.training.common.settings import LoopSettings
from ldm_core.training.common.state import averaged_weights, read_state
from ldm_core.training.common.task import Task

MAX_SCALE = float(np.log(100.0))  # Radford et al. 2021, §2.5


@dataclass(frozen=True)
class JudgeTraining:
    """Settings of a judge's run. Its seed is its own: no draw is shared with the runs of the model's parts."""

    loop: LoopSettings = field(default_factory=lambda: LoopSettings(batch=64, lr=2e-3, seed=101))
    widths: tuple[int, ...] = (16, 48, 96, 160)
    embed: int = 128
    side: int = 64  # pixels
    weight_decay: float = 0.05
    smoothing: float = 0.1  # of the labels
    style_weight: float = 0.5
    zoom: float = 0.2  # pictures are enlarged or reduced by up to this share
    shift: float = 0.08  # and moved by up to this share of their side
    light: float = 0.15  # brightness and contrast, the same for all channels: hues stay
    blurred: float = 0.5  # share of the pictures that lose detail, as a decoder's do
    blurred_to: float = 0.5  # share of their side that is left at the least
    recoloured: float = 0.0  # share of the drawings that are painted in a named colour
    composable: float = 0.0  # share of the drawings that are of things that scenes are put together from


def augment(images: Tensor, settings: JudgeTraining, rng: np.random.Generator) -> Tensor:
    """Pictures [B,3,s,s] in [-1,1] → moved, resized, lighter or darker, some of them blurred; hues stay."""
    n, g = len(images), torch_rng(rng)

    def uniform(extent: float, *shape: int) -> Tensor:
        return extent * (2 * torch.rand(shape, generator=g) - 1)

    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 + uniform(settings.zoom, n)
    theta[:, :, 2] = 2 * uniform(settings.shift, n, 2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)  # the border is the background
    blurred = torch.from_numpy(np.flatnonzero(rng.random(n) < settings.blurred))
    if len(blurred):
        side = images.shape[-1]
        small = F.interpolate(
            images[blurred], size=int(rng.integers(int(side * settings.blurred_to), side)), mode="area"
        )
        images[blurred] = F.interpolate(small, size=images.shape[-2:], mode="bilinear", align_corners=False)
    contrast, brightness = 1 + uniform(settings.light, n, 1, 1, 1), uniform(settings.light, n, 1, 1, 1)
    return (images * contrast + brightness).clamp(-1, 1)


class JudgeTask(Task):
    """Which of all the names is this? Every caption of the corpus is a rival, not only those of the batch."""

    def __init__(self, settings: JudgeTraining, corpus: Corpus, accelerator: Accelerator) -> None:
        self.settings, self.corpus, self.accelerator = settings, corpus, accelerator
        kinds = [kind(e.concept) for e in corpus.entries]
        names = sorted({kinds[r] for r in corpus.train})
        words = tuple(sorted({w for name in names for w in name_words(name)}))
        styles = tuple(sorted({corpus.entries[r].style for r in corpus.train}))
        self.config = JudgeConfig(words, styles, tuple(settings.widths), settings.embed, settings.side)
        number = {name: i for i, name in enumerate(names)}
        self.kind_of = torch.tensor([number.get(k, -1) for k in kinds])
        self.style_of = torch.tensor([styles.index(e.style) if e.style in styles else -1 for e in corpus.entries])
        torch.manual_seed(settings.loop.seed)
        self.judge = Judge(self.config).to(accelerator.device).to(memory_format=torch.channels_last)
        self.names = self.judge.ids(names)
        self.composable = things_by_concept()
        self.composable_rows = [int(r) for r in corpus.train if corpus.entries[int(r)].concept in self.composable]
        self.palette = np.array(list(BACKGROUNDS.values()), np.uint8)
        self.networks: dict[str, torch.nn.Module] = {"judge": self.judge}
        self.parameters = list(self.judge.parameters())
        adam = torch.optim.AdamW(
            self.parameters, settings.loop.lr, (0.9, 0.98), weight_decay=settings.weight_decay, fused=True
        )
        self.optimizers: dict[str, torch.optim.Optimizer] = {"judge": adam}
        self.averages = {"judge": LitEma(self.judge, settings.loop.ema_decay)}

    def pictures(self, rows: NDArray[np.integer], colours: Pixels, rng: np.random.Generator | None = None) -> Tensor:
        """Rows on colours uint8 [B,3] → [B,3,s,s] in [-1,1]. Shrunk, then mixed: the same at a quarter of the work.

        With a generator a share of the drawings is recoloured, but for the colours that are held out of scenes.
        """
        drawings = [self.corpus.drawing(int(r)) for r in rows]
        if rng is not None and self.settings.recoloured:
            drawings = [self._recoloured(d, int(r), rng) for d, r in zip(drawings, rows, strict=True)]
        rgba = torch.from_numpy(np.stack(drawings)).permute(0, 3, 1, 2).float() / 255
        paint = torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], 1)
        paint = F.interpolate(paint, size=(self.settings.side, self.settings.side), mode="area")
        ground = torch.from_numpy(colours).float().div(255)[:, :, None, None]
        return 2 * (paint[:, :3] + ground * (1 - paint[:, 3:])) - 1

    def _rows(self, rng: np.random.Generator) -> NDArray[np.int64]:
        rows = self.corpus.sample(rng, self.settings.loop.batch)
        if self.settings.composable:
            chosen = rng.random(len(rows)) < self.settings.composable
            rows[chosen] = rng.choice(self.composable_rows, int(chosen.sum()))
        return rows

    def _recoloured(self, drawing: Pixels, row: int, rng: np.random.Generator) -> Pixels:
        colour = str(rng.choice(list(THING_COLOURS)))
        if rng.random() >= self.settings.recoloured:
            return drawing
        concept = self.corpus.entries[row].concept
        if concept in self.composable and held_out("colour", colour, concept):
            return drawing
        return recolour(drawing, colour)

    def step(self, step: int) -> Mapping[str, Tensor | float]:
        """One batch."""
        s, rng = self.settings, step_rng(self.settings.loop.seed, step)
        rows = self._rows(rng)
        images = augment(self.pictures(rows, random_backgrounds(rng, len(rows), self.palette), rng), s, rng)
        device = self.accelerator.device
        self.judge.train()
        with self.accelerator.autocast():
            features = self.judge.pooled(images.to(device, memory_format=torch.channels_last))
            scores, styles = self.judge.name_scores(features, self.names), self.judge.style_scores(features)
        answers, style = self.kind_of[rows].to(device), self.style_of[rows].to(device)
        name_loss = F.cross_entropy(scores, answers, label_smoothing=s.smoothing)
        style_loss = F.cross_entropy(styles, style, label_smoothing=s.smoothing)
        loss = name_loss + s.style_weight * style_loss
        norm = optimize(self.accelerator, loss, self.parameters, [self.optimizers["judge"]], s.loop.clip)
        with torch.no_grad():
            self.judge.scale.clamp_(max=MAX_SCALE)
        self.averages["judge"].update(self.judge)
        return {
            "train/loss": loss.detach(),
            "train/name_loss": name_loss.detach(),
            "train/style_loss": style_loss.detach(),
            "train/name_top1": top_share(scores.detach(), answers, 1),
            "train/grad_norm": norm,
        }

    @torch.no_grad()
    def validate(self, step: int) -> Mapping[str, float]:
        """Averaged weights on the held-out drawings, on white: the ceiling that `evaluate` measures against."""
        captions = heldout_captions(self.corpus)
        rows, device = np.array(list(captions.values())), self.accelerator.device
        names = self.judge.ids([name for name, _ in captions])
        columns = torch.tensor([self.config.styles.index(style) for _, style in captions], device=device)
        hits: dict[str, list[float]] = {}
        self.judge.eval()
        with ema_scope(self.averages["judge"], self.judge):
            for part in np.array_split(np.arange(len(rows)), max(1, len(rows) // 64)):
                white = np.full((len(part), 3), 255, np.uint8)
                features = self.judge.pooled(self.pictures(rows[part], white).to(device))
                styles = self.judge.style_scores(features)
                scores = self.judge.name_scores(features, names) + styles[:, columns]
                answers = torch.from_numpy(part).to(device)
                found = {"top1": top_share(scores, answers, 1), "top5": top_share(scores, answers, 5)}
                found["style"] = top_share(styles, columns[answers], 1)
                for name, value in found.items():
                    hits.setdefault(f"val/{name}", []).append(value * len(part) / len(rows))
        return {name: sum(values) for name, values in hits.items()}


def export(run: Path, config: JudgeConfig) -> Path:
    """A run's averaged weights → `run`/judge.safetensors."""
    state = read_state(run / "state.pt")
    save_judge(averaged_weights(run, "judge"), config, run / "judge.safetensors", {"steps": str(state["step"])})
    return run / "judge.safetensors"


def build(settings: JudgeTraining, inputs: Inputs, accelerator: Accelerator) -> JudgeTask:
    """The task of the image–text model that `evaluate` asks; it begins from nothing. ValueError without a corpus."""
    corpus = Corpus(inputs.corpus)
    corpus.require_heldout()
    return JudgeTask(settings, corpus, accelerator)
