"""Training the first stage: two players, two optimizers (Rombach et al. 2022, §3.1 and appendix G)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn

from ldm_core.config import AutoencoderConfig
from ldm_core.data.augment import random_backgrounds, random_crops
from ldm_core.data.colours import BACKGROUNDS
from ldm_core.data.corpus import Corpus
from ldm_core.evaluation.metrics import psnr, ssim
from ldm_core.images import Pixels, composite, picture_grid, to_tensor, to_uint8
from ldm_core.losses.autoencoder import (
    AUTOENCODER,
    DISCRIMINATOR,
    AdversarialLoss,
    AutoencoderLossConfig,
    KLAutoencoderLoss,
    Latent,
    Reconstruction,
    VQAutoencoderLoss,
)
from ldm_core.models.autoencoder import AutoencoderKL
from ldm_core.models.vq import Quantized, VQModel
from ldm_core.presets import find_preset
from ldm_core.training.autoencoder.decoder_finetune import DecoderTuning
from ldm_core.training.common.distributed import own_share
from ldm_core.training.common.ema import LitEma, ema_scope
from ldm_core.training.common.inputs import Inputs
from ldm_core.training.common.loop import optimize, step_rng, torch_rng
from ldm_core.training.common.settings import LoopSettings, require_positive
from ldm_core.training.common.task import Task
from ldm_core.training.common.weights import load_part

Draw = Callable[[np.random.Generator, int], NDArray[np.integer]]
Autoencoder = AutoencoderKL | VQModel


@dataclass(frozen=True)
class AutoencoderTraining:
    """Settings of an autoencoder run."""

    preset: str = "EMOJI_128"
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(lr=6e-4))
    loss: AutoencoderLossConfig = field(default_factory=AutoencoderLossConfig)
    crop: int = 64  # pixels
    whole_share: float = 0.0  # share of the steps that see whole drawings, as many pixels of them
    betas: tuple[float, float] = (0.5, 0.9)  # Adam's, both players'; CompVis' values
    initialise: bool = False  # weights by `initialise` instead of torch's default
    sample_posterior: bool = True  # False: train on the mode, a plain autoencoder with a KL term
    mean_loss: bool = True  # divide the summed loss by a sample's elements before clipping; Adam does not notice
    decoder_only: bool = False  # the encoder stays what --init made it, and so do the latents
    latent_noise: float = 0.0  # of a decoder-only run: see DecoderTuning
    validation: int = 64  # held-out drawings

    def __post_init__(self) -> None:
        if self.decoder_only and self.model.kind != "kl":
            raise ValueError(f"decoder_only tunes a KL autoencoder; {self.preset} has one of kind {self.model.kind!r}")
        if self.crop < 1 or self.crop % self.model.downsampling:
            raise ValueError(f"crop must be a multiple of {self.model.downsampling} pixels, not {self.crop}")
        require_positive(self, "validation")
        if self.latent_noise < 0 or (self.latent_noise > 0 and not self.decoder_only):
            raise ValueError(f"latent_noise is for decoder_only, and not negative; it is {self.latent_noise}")

    @property
    def model(self) -> AutoencoderConfig:
        """The geometry, by the preset's name."""
        return find_preset(self.preset).first_stage


@torch.no_grad()
def initialise(model: Autoencoder) -> None:
    """Signals keep their size (LeCun et al. 1998, §4.6); every block starts as the identity (Goyal et al. 2017, §5.1).

    torch's own default shrinks a signal by √3 at every convolution; without this, colours come in ten times later.
    """
    for name, parameter in model.named_parameters():
        if ".conv2." in name or ".proj_out." in name or name.endswith("bias"):
            parameter.zero_()
        elif parameter.ndim == 4:
            nn.init.kaiming_normal_(parameter, nonlinearity="linear")


def latent_spread(latent: Latent) -> dict[str, Tensor]:
    """How far latents spread over a batch, and around each one's own mean."""
    if isinstance(latent, Quantized):
        return {"val/latent_std": latent.quant.std()}
    return {"val/latent_std": latent.mean.std(), "val/posterior_std": latent.std.mean()}


class AutoencoderTask(Task):
    """One step of each player on random crops. Deviation: CompVis' loop runs the autoencoder a second time for
    the discriminator's step; here it judges the reconstructions of the first pass, which saves half the time.
    """

    def __init__(
        self,
        settings: AutoencoderTraining,
        drawings: Pixels,
        draw: Draw,
        heldout: NDArray[np.integer],
        palette: Pixels,
        accelerator: Accelerator,
    ) -> None:
        """drawings uint8 [N,H,W,4]; draw(rng, n) → rows to train on; heldout: rows kept apart; palette uint8 [K,3]."""
        self.settings, self.accelerator = settings, accelerator
        self.drawings, self.draw, self.palette, self.share = drawings, draw, palette, own_share(accelerator)
        torch.manual_seed(settings.loop.seed)
        vq = settings.model.kind == "vq"
        self.autoencoder: Autoencoder = VQModel(settings.model) if vq else AutoencoderKL(settings.model)
        if settings.initialise:
            initialise(self.autoencoder)
        self.loss: AdversarialLoss = VQAutoencoderLoss(settings.loss) if vq else KLAutoencoderLoss(settings.loss)
        self.model: nn.Module = accelerator.prepare(self._trained())
        self.loss = self.loss.to(accelerator.device)
        lr, betas = settings.loop.lr, settings.betas
        self.logvar = [p for name, p in self.loss.named_parameters() if name == "logvar" and p.requires_grad]
        self.parameters = [*(p for p in self.autoencoder.parameters() if p.requires_grad), *self.logvar]
        ae = torch.optim.Adam(self.parameters, lr=lr, betas=betas, fused=True)
        disc = torch.optim.Adam(self.loss.discriminator.parameters(), lr=lr, betas=betas)
        self.networks: dict[str, nn.Module] = {"first_stage_model": self.autoencoder, "loss": self.loss}
        self.optimizers: dict[str, torch.optim.Optimizer] = {"ae": ae, "disc": disc}
        self.averages = {"first_stage_model": LitEma(self.autoencoder, settings.loop.ema_decay)}
        rows = np.random.default_rng(0).permutation(heldout)[: settings.validation]
        white = np.full((len(rows), 3), 255, np.uint8)
        whole = np.stack([drawings[r] for r in np.sort(rows)])
        self.heldout, self.heldout_cond = to_tensor(composite(whole, white)), self.condition(whole)

    def _trained(self) -> nn.Module:
        """What a step runs: the autoencoder, or the tuning of its decoder, which freezes the rest."""
        if self.settings.decoder_only and isinstance(self.autoencoder, AutoencoderKL):
            return DecoderTuning(self.autoencoder, self.settings.latent_noise)
        return self.autoencoder

    def condition(self, drawings: Pixels) -> Tensor | None:
        """What a conditional discriminator sees beside a picture: where there is ink, [B,1,h,w] in [-1,1]."""
        return to_tensor(drawings[..., 3:]) if self.settings.loss.disc_conditional else None

    def batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor | None]:
        """The pictures [B,3,h,w] in [-1,1] of a step, and the discriminator's condition."""
        size, n = self.settings.crop, self.settings.loop.batch
        if rng.random() < self.settings.whole_share:
            whole = self.drawings.shape[1]
            size, n = whole, max(1, n * size**2 // whole**2)
        n += -n % self.share.count
        rows = self.draw(rng, n)
        crops = random_crops(self.drawings, rows, size, rng)
        images = to_tensor(composite(crops, random_backgrounds(rng, n, self.palette)))
        cond, own, device = self.condition(crops), self.share.of(n), self.accelerator.device
        return images[own].to(device), None if cond is None else cond[own].to(device)

    def posterior_noise(self, images: Tensor, rng: np.random.Generator) -> torch.Generator:
        """What draws the noise of this share: the whole batch's generator, past the shares before it."""
        generator, c = torch_rng(rng), self.settings.model
        latent = images[:, 0].numel() // c.downsampling**2 * c.embed_dim
        torch.randn(self.share.index * latent, generator=generator)
        return generator

    def reconstruct(
        self, network: nn.Module, images: Tensor, sample: bool, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Latent]:
        """(reconstructions [B,3,h,w], latent) by the network, prepared or bare; a VQ one has nothing to sample."""
        options = () if isinstance(self.autoencoder, VQModel) else (sample, generator)
        result: tuple[Tensor, Latent] = network(images, *options)
        return result

    def step(self, step: int) -> Mapping[str, Tensor | float]:
        """Autoencoder, then (from disc_start on) discriminator."""
        rng = step_rng(self.settings.loop.seed, step)
        (images, cond), clip = self.batch(rng), self.settings.loop.clip
        with self.accelerator.autocast():
            reconstructions, latent = self.reconstruct(
                self.model, images, self.settings.sample_posterior, self.posterior_noise(images, rng)
            )
            made = Reconstruction(images, reconstructions, latent, cond)
            aeloss, log = self.loss.player_loss(AUTOENCODER, made, step, self.autoencoder.get_last_layer())
        summed = self.settings.mean_loss and not isinstance(latent, Quantized)  # the VQ loss is a mean already
        scale = images[0].numel() if summed else 1
        norm = optimize(self.accelerator, aeloss / scale, self.parameters, [self.optimizers["ae"]], clip, self.logvar)
        self.averages["first_stage_model"].update(self.autoencoder)

        discloss, disc_log = self.loss.player_loss(DISCRIMINATOR, made, step)
        if discloss.requires_grad:
            parameters = list(self.loss.discriminator.parameters())
            optimize(self.accelerator, discloss, parameters, [self.optimizers["disc"]], clip, parameters)
        return {"aeloss": aeloss.detach(), "discloss": discloss.detach(), **log, **disc_log, "grad_norm": norm}

    @torch.no_grad()
    def validate(self, step: int) -> Mapping[str, float]:
        """Averaged weights on whole held-out drawings on white: the loss's terms, PSNR in dB, SSIM, LPIPS if on."""
        sums: dict[str, float] = {}
        with ema_scope(self.averages["first_stage_model"], self.autoencoder):
            for first in range(0, len(self.heldout), 8):
                rows, device = slice(first, first + 8), self.accelerator.device
                images = self.heldout[rows].to(device)
                cond = None if self.heldout_cond is None else self.heldout_cond[rows].to(device)
                reconstructions, latent = self.reconstruct(self.autoencoder, images, sample=False)
                made = Reconstruction(images, reconstructions, latent, cond)
                _, log = self.loss.player_loss(AUTOENCODER, made, step, split="val")
                _, disc_log = self.loss.player_loss(DISCRIMINATOR, made, step, split="val")
                pair = images, reconstructions
                quality = {"val/psnr": psnr(*pair).mean(), "val/ssim": ssim(*pair).mean()}
                if self.loss.perceptual_loss is not None:
                    trunk = self.settings.loss.trunk_name  # distances of different trunks do not compare
                    quality[f"val/lpips_{trunk}"] = self.loss.perceptual_loss(*pair).mean()
                spread = latent_spread(latent)
                for name, value in {**log, **disc_log, **quality, **spread}.items():
                    sums[name] = sums.get(name, 0.0) + float(value) * len(images) / len(self.heldout)
        return sums

    @torch.no_grad()
    def sample(self) -> Pixels | None:
        """Held-out drawings above, their reconstructions below."""
        images = self.heldout[:16].to(self.accelerator.device)
        with ema_scope(self.averages["first_stage_model"], self.autoencoder):
            reconstructions, _ = self.reconstruct(self.autoencoder, images, sample=False)
        rows = [x[i : i + 8] for i in (0, 8) for x in (to_uint8(images), to_uint8(reconstructions))]
        return picture_grid(np.concatenate(rows), columns=8)

    def init_from(self, path: Path) -> None:
        """Start from a weights file's first stage, its average included."""
        load_part(path, "first_stage_model.", self.autoencoder)
        self.averages["first_stage_model"] = LitEma(self.autoencoder, self.settings.loop.ema_decay)


def build(settings: AutoencoderTraining, inputs: Inputs, accelerator: Accelerator) -> AutoencoderTask:
    """The first stage's task, on the corpus' drawings before every named colour.

    ValueError without a corpus, or for a decoder-only run that has no encoder to begin with.
    """
    if settings.decoder_only and inputs.init is None:
        raise ValueError("a decoder-only run needs --init WEIGHTS: it trains the decoder of an encoder that is there")
    corpus, palette = Corpus(inputs.corpus), np.array(list(BACKGROUNDS.values()), np.uint8)
    task = AutoencoderTask(settings, corpus.drawings, corpus.sample, corpus.require_heldout(), palette, accelerator)
    if inputs.init:
        task.init_from(inputs.init)
    return task
