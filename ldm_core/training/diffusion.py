"""Training the UNet on cached latents (Rombach et al. 2022, eq. 3), text by a frozen encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn

import ldm_core.config as presets
from ldm_core.diffusion.schedule import Schedule
from ldm_core.losses.diffusion import DiffusionLoss, DiffusionLossConfig, bin_means
from ldm_core.models.first_stage import FirstStage
from ldm_core.models.latent_diffusion import DiffusionWrapper
from ldm_core.training.crops import Bytes, picture_grid, to_uint8
from ldm_core.training.ema import LitEma, averaged
from ldm_core.training.latents import LatentCache
from ldm_core.training.loop import optimize, step_rng, torch_rng
from ldm_core.training.muon import Muon
from ldm_core.training.previews import sample_latents
from ldm_core.training.processes import WHOLE, Share, own_share
from ldm_core.training.settings import LoopSettings

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


class TextEncoder(Protocol):
    """Prompts → context [B,L,D] fp32 (or what else the UNet is conditioned on, see conditions), without gradients."""

    def __call__(self, prompts: Sequence[str]) -> Tensor: ...


Captioner = Callable[[int, np.random.Generator, str], str]  # row, randomness, background → caption


@dataclass(frozen=True)
class DiffusionTraining:
    """Settings of a diffusion run."""

    preset: str = "EMOJI_128"
    parameterization: presets.Parameterization = "v"
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(batch=64, lr=4e-4, ema_decay=0.9995))
    loss: DiffusionLossConfig = field(default_factory=lambda: DiffusionLossConfig(min_snr_gamma=5.0))
    optimizer: Literal["adamw", "muon"] = "adamw"  # muon: on the UNet's inner weights, AdamW on the rest
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    caption_dropout: float = 0.1  # rows that see the empty prompt, for guidance
    white_share: float = 0.5  # rows on white; the others on the cache's coloured passes
    tone_power: float = 0.0  # above 0, drawings in several skin tones come more often: Corpus.sample
    validation: int = 128  # held-out latents
    sample_steps: int = 25
    guidance_scale: float = 5.0
    prompts: tuple[str, ...] = EXAMPLES

    def __post_init__(self) -> None:
        if self.optimizer not in ("adamw", "muon"):
            raise ValueError(f"optimizer must be adamw or muon, not {self.optimizer!r}")
        for name in ("caption_dropout", "white_share", "tone_power"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], not {getattr(self, name)}")

    @property
    def model(self) -> presets.ModelConfig:
        """The preset, with this run's parameterization."""
        if not isinstance(preset := getattr(presets, self.preset, None), presets.ModelConfig):
            raise ValueError(f"no preset is called {self.preset!r}")
        return replace(preset, parameterization=self.parameterization)


@torch.no_grad()
def initialise(unet: nn.Module) -> None:
    """The published start: each block's last layer and the output are zero (Dhariwal & Nichol's zero_module).

    Convolutions on the skip path keep a signal's size, where torch's default shrinks it by √3 each time.
    """
    for name, parameter in unet.named_parameters():
        if any(part in name for part in (".out_layers.3.", ".proj_out.", "diffusion_model.out.2.")):
            parameter.zero_()
        elif parameter.ndim == 4:
            nn.init.kaiming_normal_(parameter, nonlinearity="linear")


def inner_matrices(unet: nn.Module) -> list[nn.Parameter]:
    """Weights of two axes or more between the first convolution and the last: what Muon is for."""
    ends = ("diffusion_model.input_blocks.0.", "diffusion_model.out.")
    return [p for name, p in unet.named_parameters() if p.ndim >= 2 and not name.startswith(ends)]


class DiffusionTask:
    """One step: draw rows by concept, a background, a caption, a noise level; predict; weigh; update."""

    def __init__(
        self,
        settings: DiffusionTraining,
        cache: LatentCache,
        draw: Callable[[np.random.Generator, int], NDArray[np.integer]],
        heldout: NDArray[np.integer],
        caption: Captioner,
        encode: TextEncoder,
        decoder: FirstStage,
        accelerator: Accelerator,
    ) -> None:
        """decoder turns sampled latents into pictures; it is neither trained nor saved here."""
        self.settings, self.cache, self.draw, self.accelerator = settings, cache, draw, accelerator
        self.share = own_share(accelerator)
        self.share.of(settings.loop.batch)  # says now whether the batch can be shared
        self.caption, self.encode, self.decoder = caption, encode, decoder
        config = settings.model
        torch.manual_seed(settings.loop.seed)
        self.schedule = Schedule.from_config(config.schedule)
        self.unet = DiffusionWrapper(config.unet, config.conditioning_key)
        initialise(self.unet)
        if torch.cuda.is_available():  # on CPUs fp32 convolutions are faster as they are
            self.unet = self.unet.to(memory_format=torch.channels_last)
        self.model: nn.Module = accelerator.prepare(self.unet)
        self.loss = DiffusionLoss(settings.loss, self.schedule, config.parameterization).to(accelerator.device)
        self.parameters = [p for m in (self.unet, self.loss) for p in m.parameters() if p.requires_grad]
        self.networks: dict[str, nn.Module] = {"model": self.unet, "loss": self.loss}
        self.optimizers = self._optimizers()
        self.averages = {"model": LitEma(self.unet, settings.loop.ema_decay)}
        self.empty = self.encode([""])
        self.heldout = np.sort(np.random.default_rng(0).permutation(heldout)[: settings.validation])

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        s, matrices = self.settings, inner_matrices(self.unet) if self.settings.optimizer == "muon" else []
        taken = {id(p) for p in matrices}
        rest = [p for p in self.parameters if id(p) not in taken]
        adam = torch.optim.AdamW(rest, s.loop.lr, s.betas, weight_decay=s.weight_decay, fused=True)
        if not matrices:
            return {"unet": adam}
        dtype = torch.bfloat16 if self.accelerator.mixed_precision == "bf16" else torch.float32
        return {"unet": adam, "muon": Muon(matrices, s.loop.lr, weight_decay=s.weight_decay, dtype=dtype)}

    def batch(self, rows: NDArray[np.integer], rng: np.random.Generator, share: Share = WHOLE) -> tuple[Tensor, Tensor]:
        """Latents z [B,4,h,w] and contexts [B,L,D] of a share of rows; background, noise and caption are drawn."""
        n, coloured, own = len(rows), len(self.cache.moments) - 1, share.of(len(rows))
        passes = np.where(
            rng.random(n) < self.settings.white_share, 0, rng.integers(1, coloured + 1, n) if coloured else 0
        )
        shape = (n, *self.cache.moments[0].shape[2:])
        z = self.cache.sample(rows[own], passes[own], torch.randn(shape, generator=torch_rng(rng))[own])
        grounds = [self.cache.names[self.cache.backgrounds[p, r]] for p, r in zip(passes, rows, strict=True)]
        prompts = [self.caption(int(r), rng, g) for r, g in zip(rows, grounds, strict=True)]
        with self.accelerator.autocast():
            context = self.encode(prompts[own]).to(self.empty)
        dropped = torch.from_numpy(rng.random(n) < self.settings.caption_dropout)[own]
        dropped = dropped.to(context.device).view(-1, *[1] * (context.ndim - 1))
        context = torch.where(dropped, self.empty, context)
        return z.to(self.accelerator.device, memory_format=torch.channels_last), context.to(self.accelerator.device)

    def noised(self, z: Tensor, rng: np.random.Generator, share: Share = WHOLE) -> tuple[Tensor, Tensor]:
        """(t, noise) of a share z; t stratified: one in each of B equal ranges, same mean and less variance."""
        n = len(z) * share.count
        own = share.of(n)
        strata = (rng.permutation(n) + rng.random(n)) / n
        t = torch.from_numpy((strata * self.schedule.num_timesteps).astype(np.int64))
        noise = torch.randn((n, *z.shape[1:]), generator=torch_rng(rng))
        return t[own].to(z.device), noise[own].to(z.device)

    def step(self, step: int) -> Mapping[str, Tensor | float]:
        """One update."""
        loop = self.settings.loop
        rng = step_rng(loop.seed, step)
        z, context = self.batch(self.draw(rng, loop.batch), rng, self.share)
        t, noise = self.noised(z, rng, self.share)
        with self.accelerator.autocast():
            out = self.model(self.loss.q_sample(z, t, noise), t, c_crossattn=[context])
        loss, log = self.loss(out, z, t, noise)
        unprepared = list(self.loss.parameters())
        norm = optimize(self.accelerator, loss, self.parameters, [*self.optimizers.values()], loop.clip, unprepared)
        self.averages["model"].update(self.unet)
        return {**log, "grad_norm": norm}

    @torch.no_grad()
    def validate(self, step: int) -> Mapping[str, float]:
        """Averaged weights on held-out rows, always the same noise: the losses, and the error by noise level."""
        del step
        errors, levels, sums = [], [], dict[str, float]()
        rng = step_rng(self.settings.loop.seed, 0, stream=1)
        with averaged(self.averages["model"], self.unet):
            for rows in np.array_split(self.heldout, max(1, len(self.heldout) // 64)):
                z, context = self.batch(rows, rng)
                t, noise = self.noised(z, rng)
                out = self.unet(self.loss.q_sample(z, t, noise), t, c_crossattn=[context])
                _, log = self.loss(out, z, t, noise, split="val")
                for name, value in log.items():
                    sums[name] = sums.get(name, 0.0) + float(value) * len(rows) / len(self.heldout)
                errors.append(self.loss.per_sample(out, z, t, noise))
                levels.append(t)
        bins = bin_means(torch.cat(errors), torch.cat(levels), self.schedule.num_timesteps)
        return {**sums, **{f"val/{name}": value for name, value in bins.items()}}

    @torch.no_grad()
    def sample(self, step: int) -> Bytes | None:
        """The example prompts, with the averaged weights, always from the same noise."""
        del step
        s, latent = self.settings, self.cache.moments[0].shape[2:]
        with averaged(self.averages["model"], self.unet):
            z = sample_latents(
                lambda x, t, c: self.unet(x, t, c_crossattn=[c]),
                self.schedule,
                s.parameterization,
                self.encode(s.prompts),
                self.empty,
                latent,
                steps=s.sample_steps,
                guidance_scale=s.guidance_scale,
            )
        images = torch.cat([self.decoder.decode(part / self.cache.scale_factor) for part in torch.split(z, 4)])
        return picture_grid(to_uint8(images), columns=4)

    def init_from(self, path: Path) -> None:
        """Start from a weights file's UNet, its average included."""
        from ldm_core.training.weights import load_part

        load_part(path, "model.", self.unet)
        self.averages["model"] = LitEma(self.unet, self.settings.loop.ema_decay)
