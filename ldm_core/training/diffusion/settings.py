"""Settings of a diffusion run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from ldm_core.config import ModelConfig, Parameterization
from ldm_core.losses.diffusion import DiffusionLossConfig
from ldm_core.presets import find_preset
from ldm_core.training.common.settings import LoopSettings, require_positive

EXAMPLES = (
    "red apple, noto style",
    "cat with heart eyes, noto style",
    "rocket, twemoji style, on a blue background",
    "woman firefighter, medium-dark skin tone, noto style",
    "grinning face, 3d style",
    "pizza, flat style",
    "thumbs up, light skin tone, twemoji style",
    "blue car, emojione style, on a yellow background",
)


@dataclass(frozen=True)
class DiffusionTraining:
    """Settings of a diffusion run."""

    preset: str = "EMOJI_128"
    parameterization: Parameterization = "v"
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(batch=64, lr=4e-4, ema_decay=0.9995))
    loss: DiffusionLossConfig = field(default_factory=lambda: DiffusionLossConfig(min_snr_gamma=5.0))
    optimizer: Literal["adamw", "muon"] = "adamw"  # muon: on the UNet's inner weights, AdamW on the rest
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    caption_dropout: float = 0.1  # rows that see the empty prompt, for guidance
    white_share: float = 0.5  # rows on white; the others on the cache's coloured passes
    grounding_weight: float = 0.0  # of the loss in grounding.py; composed scenes only
    tone_power: float = 0.0  # above 0, drawings in several skin tones come more often: Corpus.sample
    workers: int | None = None  # processes that draw batches; None: none on a CPU, a core each beside a GPU
    validation: int = 128  # held-out latents
    sample_steps: int = 25
    guidance_scale: float | None = None  # of the sample pictures; None: the preset's own
    prompts: tuple[str, ...] = EXAMPLES

    def __post_init__(self) -> None:
        if self.optimizer not in ("adamw", "muon"):
            raise ValueError(f"optimizer must be adamw or muon, not {self.optimizer!r}")
        require_positive(self, "validation")
        for name in ("caption_dropout", "white_share", "tone_power"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], not {getattr(self, name)}")

    @property
    def model(self) -> ModelConfig:
        """The preset, with this run's parameterization."""
        return replace(find_preset(self.preset), parameterization=self.parameterization)
