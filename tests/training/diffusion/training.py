"""A minute's training of a tiny pixel-space model on the drawings: the library's own parts, a loop of ten lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ldm_core.compvis.ddim import DDIMSampler
from ldm_core.config import ConditioningKey, ModelConfig, ScheduleConfig, TextConfig, UNetConfig
from ldm_core.diffusion.schedule import NoiseSchedule
from ldm_core.losses.diffusion import DiffusionLoss, DiffusionLossConfig
from ldm_core.models.classifier import NoisyClassifier
from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.presets import IDENTITY
from ldm_core.text.tokenizer import Tokenizer
from ldm_core.training.common.ema import LitEma
from tests.training.diffusion.drawings import CLASSES, SIDE, Drawings, draw

TOKENIZER = Path(__file__).parents[3] / "weights" / "tokenizer"
TEXT = TextConfig(vocab=6144, text_len=6, width=32, layers=1, heads=2, intermediate=64)
SCHEDULE = ScheduleConfig(linear_start=0.00085, linear_end=0.03)  # √ᾱ_T = 0.003: ends in pure noise
NULL = CLASSES  # the class that says nothing
DROPOUT = 0.1  # share of the drawings whose class and caption are withheld, for guidance
Conditioner = Callable[["Trained", Drawings], dict[str, list[Tensor]]]


@dataclass(frozen=True)
class Trained:
    """A model, the doors its condition goes through, and figures of its training."""

    model: LatentDiffusion
    conditioner: Conditioner
    losses: list[float]

    def condition(self, drawings: Drawings) -> dict[str, list[Tensor]]:
        with torch.no_grad():
            return self.conditioner(self, drawings)


def config(key: ConditioningKey | None, extra_channels: int = 0) -> ModelConfig:
    text = key in ("crossattn", "hybrid")
    unet = UNetConfig(
        in_channels=3 + extra_channels,
        out_channels=3,
        model_channels=24,
        channel_mult=(1, 2),
        num_res_blocks=1,
        attention_resolutions=(2,),
        num_heads=2,
        context_dim=TEXT.width if text else None,
        num_classes=CLASSES + 1 if key == "adm" else None,
        norm_groups=6,
    )
    return ModelConfig(
        name=f"drawings-{key}",
        first_stage=IDENTITY,
        unet=unet,
        text=TEXT if text else None,
        schedule=SCHEDULE,
        scale_factor=1.0,
        image_size=SIDE,
        parameterization="v",
        conditioning_key=key,
    )


def contexts(trained: Trained, drawings: Drawings) -> Tensor:
    """Captions through tokenizer and text encoder: [N,6,32]."""
    ids = Tokenizer.load(TOKENIZER, TEXT.text_len).encode(drawings.captions)
    context: Tensor = trained.model.cond_stage_model(ids)
    return context


def train(
    key: ConditioningKey | None,
    conditioner: Conditioner,
    extra_channels: int = 0,
    steps: int = 300,
    data: Drawings | None = None,
) -> Trained:
    """AdamW with cosine decay on fresh drawings, batch 32; the weights' average is what comes back."""
    torch.manual_seed(0)
    model = LatentDiffusion(config(key, extra_channels))
    loss_of = DiffusionLoss(DiffusionLossConfig(), model.schedule, "v")
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.99), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps, pct_start=0.1)
    average, trained, g = LitEma(model, 0.98), Trained(model, conditioner, []), torch.Generator().manual_seed(1)
    data = draw(2048, seed=2) if data is None else data
    for _ in range(steps):
        rows = torch.randint(0, len(data.images), (32,), generator=g)
        batch = silenced(pick(data, rows), torch.rand(32, generator=g) < DROPOUT)
        t = torch.randint(0, 1000, (32,), generator=g)
        noise = torch.randn(batch.images.shape, generator=g)
        z = model.get_first_stage_encoding(model.encode_first_stage(batch.images))
        out = model.apply_model(loss_of.q_sample(z, t, noise), t, conditioner(trained, batch))
        loss, _ = loss_of(out, z, t, noise)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.update(model)
        trained.losses.append(float(loss.detach()))
    average.copy_to(model)
    model.eval()
    return trained


def silenced(d: Drawings, rows: Tensor | bool) -> Drawings:
    """The same pictures; where `rows`, nothing is said about them."""
    rows = torch.as_tensor(rows).expand(len(d.images))
    words = ["" if r else c for r, c in zip(rows.tolist(), d.captions, strict=True)]
    return Drawings(d.images, d.silhouettes, torch.where(rows, NULL, d.classes), words)


def pick(d: Drawings, rows: Tensor) -> Drawings:
    return Drawings(d.images[rows], d.silhouettes[rows], d.classes[rows], [d.captions[i] for i in rows.tolist()])


def sample(trained: Trained, condition: dict[str, list[Tensor]], n: int, steps: int = 20, **options: Any) -> Tensor:
    """DDIM from seed 3: pictures [n,3,12,12] in [-1,1]."""
    g = torch.Generator().manual_seed(3)
    z, _ = DDIMSampler(trained.model).sample(
        steps, n, (3, SIDE, SIDE), condition or None, generator=g, verbose=False, **options
    )
    with torch.no_grad():
        return trained.model.decode_first_stage(z).clamp(-1, 1)


def train_classifier(data: Drawings, steps: int = 250) -> NoisyClassifier:
    """The guide: cross-entropy on x_t at random t."""
    torch.manual_seed(0)
    net = NoisyClassifier(3, int(data.classes.max()) + 1, width=24, levels=2, norm_groups=6)
    loss_of = DiffusionLoss(DiffusionLossConfig(), NoiseSchedule.from_config(SCHEDULE), "v")
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps, pct_start=0.1)
    g = torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows = torch.randint(0, len(data.images), (64,), generator=g)
        t = (1000 * torch.rand(64, generator=g) ** 1.5).long()  # more of the levels where there is something to see
        x = loss_of.q_sample(data.images[rows], t, torch.randn(64, 3, SIDE, SIDE, generator=g))
        loss = F.cross_entropy(net(x, t), data.classes[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval()
