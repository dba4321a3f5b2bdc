"""Training the UNet on cached latents (Rombach et al. 2022, eq. 3), text by a frozen encoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

import ldm_core.config as presets
from ldm_core.diffusion.denoiser import Conditioning, Denoiser
from ldm_core.diffusion.sample_loop import finish, sample_loop, start_row
from ldm_core.diffusion.schedule import NoiseSchedule
from ldm_core.images import Pixels, picture_grid, to_uint8
from ldm_core.losses.diffusion import DiffusionLoss, DiffusionLossConfig, bin_means
from ldm_core.models.first_stage import FirstStage
from ldm_core.models.latent_diffusion import DiffusionWrapper
from ldm_core.sampling import SamplingParams
from ldm_core.training.common.distributed import own_share
from ldm_core.training.common.ema import LitEma, averaged
from ldm_core.training.common.loop import optimize
from ldm_core.training.common.muon import Muon
from ldm_core.training.common.prefetch import ahead, default_workers
from ldm_core.training.common.settings import LoopSettings
from ldm_core.training.diffusion.batches import Batch, Batches, BatchSource, CaptionedRows
from ldm_core.training.diffusion.grounding import cross_attention_maps, grounding_loss
from ldm_core.training.diffusion.latents import LatentCache

GROUNDED = 0.75  # share of the noise levels, from the clean end, at which words are held to their things
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


class Condition(Protocol):
    """What captions tell the UNet, in two halves: a process that draws batches reads, the device does the rest."""

    def read(self, prompts: Sequence[str]) -> Tensor:
        """B prompts → numbers on the CPU, B rows."""

    def __call__(self, numbers: Tensor) -> Tensor:
        """Those numbers → context [B,L,D] fp32 (or what else the UNet is conditioned on), without gradients."""


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
    grounding_weight: float = 0.0  # of ldm_core/training/grounding.py, composed scenes only
    tone_power: float = 0.0  # above 0, drawings in several skin tones come more often: Corpus.sample
    workers: int | None = None  # processes that draw batches; None: none on a CPU, a core each beside a GPU
    validation: int = 128  # held-out latents
    sample_steps: int = 25
    guidance_scale: float | None = None  # of the sample pictures; None: the preset's own
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


def drawing_batches(
    settings: DiffusionTraining, cache: LatentCache, rows: CaptionedRows, condition: Condition, accelerator: Accelerator
) -> Batches:
    """What a run on single drawings trains on."""
    heldout = np.sort(np.random.default_rng(0).permutation(rows.heldout)[: settings.validation])
    return Batches(
        cache,
        replace(rows, heldout=heldout),
        condition.read,
        timesteps=settings.model.schedule.timesteps,
        size=settings.loop.batch,
        seed=settings.loop.seed,
        white_share=settings.white_share,
        caption_dropout=settings.caption_dropout,
        share=own_share(accelerator),
    )


class DiffusionTask:
    """One step: draw rows by concept, a background, a caption, a noise level; predict; weigh; update."""

    def __init__(
        self,
        settings: DiffusionTraining,
        batches: BatchSource,
        condition: Condition,
        decoder: FirstStage,
        accelerator: Accelerator,
    ) -> None:
        """decoder turns sampled latents into pictures; it is neither trained nor saved here."""
        self.settings, self.batches, self.accelerator = settings, batches, accelerator
        self.condition, self.decoder = condition, decoder
        config = settings.model
        own_share(accelerator).of(settings.loop.batch)  # says now whether the batch can be shared
        torch.manual_seed(settings.loop.seed)
        self.schedule = NoiseSchedule.from_config(config.schedule)
        self._coming: Iterator[Batch] = iter(())
        self._expected = -1  # the step that `_coming` goes on with
        self.unet = DiffusionWrapper(config.unet, config.conditioning_key)
        initialise(self.unet)
        if accelerator.device.type == "cuda":  # on CPUs fp32 convolutions are faster as they are
            self.unet = self.unet.to(memory_format=torch.channels_last)
        self.model: nn.Module = accelerator.prepare(self.unet)
        self.loss = DiffusionLoss(settings.loss, self.schedule, config.parameterization).to(accelerator.device)
        self.parameters = [p for m in (self.unet, self.loss) for p in m.parameters() if p.requires_grad]
        self.networks: dict[str, nn.Module] = {"model": self.unet, "loss": self.loss}
        self.optimizers = self._optimizers()
        self.averages = {"model": LitEma(self.unet, settings.loop.ema_decay)}

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        s, matrices = self.settings, inner_matrices(self.unet) if self.settings.optimizer == "muon" else []
        taken = {id(p) for p in matrices}
        rest = [p for p in self.parameters if id(p) not in taken]
        adam = torch.optim.AdamW(rest, s.loop.lr, s.betas, weight_decay=s.weight_decay, fused=True)
        if not matrices:
            return {"unet": adam}
        dtype = torch.bfloat16 if self.accelerator.mixed_precision == "bf16" else torch.float32
        return {"unet": adam, "muon": Muon(matrices, s.loop.lr, weight_decay=s.weight_decay, dtype=dtype)}

    def batch(self, step: int) -> Batch:
        """The step's share, drawn ahead by other processes where the settings or a GPU ask for that."""
        if step != self._expected:
            asked = self.settings.workers
            workers = default_workers(self.accelerator.device, self.accelerator.num_processes)
            self._coming = ahead(self.batches, count(step), workers if asked is None else asked)
        self._expected = step + 1
        return next(self._coming)

    def on_device(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A batch where the network is: latents z, context, timesteps, noise."""
        device = self.accelerator.device
        with self.accelerator.autocast():
            context = self.condition(batch.numbers)
        z = batch.z.to(device, memory_format=torch.channels_last, non_blocking=True)
        return z, context, batch.t.to(device, non_blocking=True), batch.noise.to(device, non_blocking=True)

    def step(self, step: int) -> Mapping[str, Tensor | float]:
        """One update."""
        loop = self.settings.loop
        batch = self.batch(step)
        z, context, t, noise = self.on_device(batch)
        grounded = self.settings.grounding_weight > 0 and batch.owner is not None
        with self.accelerator.autocast(), cross_attention_maps(self.unet, grounded) as maps:
            out = self.model(self.loss.q_sample(z, t, noise), t, c_crossattn=[context])
        loss, log = self.loss(out, z, t, noise)
        if grounded:
            grounding = self._grounding(maps, batch)
            loss, log = (
                loss + self.settings.grounding_weight * grounding,
                {**log, "train/grounding": grounding.detach()},
            )
        unprepared = list(self.loss.parameters())
        norm = optimize(self.accelerator, loss, self.parameters, [*self.optimizers.values()], loop.clip, unprepared)
        self.averages["model"].update(self.unet)
        return {**log, "grad_norm": norm}

    def _grounding(self, maps: list[Tensor], batch: Batch) -> Tensor:
        """Where there is so much noise that nobody can know where a thing will be, no word is held to a place."""
        assert batch.owner is not None and batch.words is not None
        device, known = self.accelerator.device, batch.t < GROUNDED * self.schedule.num_timesteps
        return grounding_loss(maps, batch.owner.to(device), batch.words.to(device), known.to(device))

    @torch.no_grad()
    def validate(self, step: int) -> Mapping[str, float]:
        """Averaged weights on held-out rows, always the same noise: the losses, and the error by noise level."""
        del step
        with averaged(self.averages["model"], self.unet):
            return {k: v for name, held in self.batches.validation() for k, v in self._errors(name, held).items()}

    def _errors(self, name: str, batches: Iterable[Batch]) -> Mapping[str, float]:
        """The losses of a set of batches, under the set's name."""
        errors, levels, sums = [], [], dict[str, float]()
        for batch in batches:
            z, context, t, noise = self.on_device(batch)
            out = self.unet(self.loss.q_sample(z, t, noise), t, c_crossattn=[context])
            _, log = self.loss(out, z, t, noise, split=name)
            for key, value in log.items():
                sums[key] = sums.get(key, 0.0) + float(value) * len(z)
            errors.append(self.loss.per_sample(out, z, t, noise))
            levels.append(t)
        bins = bin_means(torch.cat(errors), torch.cat(levels), self.schedule.num_timesteps)
        n = sum(len(e) for e in errors)
        return {**{k: v / n for k, v in sums.items()}, **{f"{name}/{b}": value for b, value in bins.items()}}

    @torch.no_grad()
    def sample(self, step: int) -> Pixels | None:
        """The example prompts, with the averaged weights, always from the same noise."""
        del step
        s, config, shape = self.settings, self.settings.model, self.batches.latent_shape
        contexts, empty = (self.condition(self.condition.read(p)) for p in (s.prompts, [""]))
        scale = config.default_guidance if s.guidance_scale is None else s.guidance_scale
        grid, params = self.schedule.grid("uniform", s.sample_steps), SamplingParams("", batch=len(contexts))
        rows = [
            start_row(params.image(k), grid, Conditioning(context, empty[0], scale), shape)
            for k, context in enumerate(contexts)
        ]
        with averaged(self.averages["model"], self.unet):
            denoise = Denoiser(
                lambda x, t, context: self.unet(x, t, c_crossattn=[context]),
                self.schedule,
                s.parameterization,
                contexts.device,
            )
            z = finish(sample_loop(denoise, rows))
        z = z.to(self.accelerator.device) / self.batches.scale_factor
        images = torch.cat([self.decoder.decode(part) for part in torch.split(z, 4)])
        return picture_grid(to_uint8(images), columns=4)

    def init_from(self, path: Path) -> None:
        """Start from a weights file's UNet, its average included."""
        from ldm_core.training.common.weights import load_part

        load_part(path, "model.", self.unet)
        self.averages["model"] = LitEma(self.unet, self.settings.loop.ema_decay)
