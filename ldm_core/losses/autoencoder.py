"""First-stage losses: L1 + LPIPS + KL or codebook + PatchGAN (Esser et al. 2021, eq. 4-7; Rombach et al. 2022, §G)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ldm_core.losses.gan import adaptive_weight, adopt_weight, hinge_d_loss, vanilla_d_loss
from ldm_core.losses.perceptual import Trunk, make_lpips
from ldm_core.models.discriminator import NLayerDiscriminator, weights_init
from ldm_core.models.distribution import DiagonalGaussianDistribution
from ldm_core.models.vq import Quantized

Log = dict[str, Tensor]
Latent = DiagonalGaussianDistribution | Quantized
AUTOENCODER, DISCRIMINATOR = 0, 1  # the players, by the number that CompVis' optimizer_idx gives them


@dataclass(frozen=True)
class AutoencoderLossConfig:
    """CompVis' names, with the values of its configuration files; below the line, ours (all off by default)."""

    disc_start: int = 50001
    logvar_init: float = 0.0
    kl_weight: float = 1e-6
    codebook_weight: float = 1.0  # instead of kl_weight where the autoencoder is of the VQ type
    pixelloss_weight: float = 1.0  # in CompVis' code but never used there; here it multiplies the L1 term
    disc_num_layers: int = 3
    disc_in_channels: int = 3
    disc_factor: float = 1.0
    disc_weight: float = 0.5
    perceptual_weight: float = 1.0
    use_actnorm: bool = False
    disc_conditional: bool = False
    disc_loss: Literal["hinge", "vanilla"] = "hinge"
    # ours
    learn_logvar: bool = False  # CompVis' optimizer holds no logvar: a learned parameter that is never learned
    perceptual_trunk: str = "random"  # or a path, see losses.perceptual; "" switches the term off
    perceptual_net: Trunk = "vgg"
    gradient_weight: float = 0.0  # L1 of image gradients at 1, 1/2 and 1/4 size: edges without a trained trunk
    mse_weight: float = 0.0  # squared error beside L1: stronger where a flat colour is far off
    coarse_weight: float = 0.0  # squared error of 8-pixel boxes: colour and light before detail
    chroma_boost: float = 1.0  # how much more there errors of blue-yellow weigh, and that squared of green-magenta
    disc_ndf: int = 64

    def __post_init__(self) -> None:
        if self.disc_loss not in ("hinge", "vanilla"):
            raise ValueError(f"disc_loss must be hinge or vanilla, not {self.disc_loss!r}")
        for name in (
            "kl_weight",
            "disc_factor",
            "disc_weight",
            "perceptual_weight",
            "gradient_weight",
            "mse_weight",
            "coarse_weight",
            "chroma_boost",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, is {getattr(self, name)}")

    @property
    def trunk_name(self) -> str:
        """What the perceptual term stands on: "off", "random", or the network's name for weights from a file."""
        if self.perceptual_weight == 0 or not self.perceptual_trunk:
            return "off"
        return "random" if self.perceptual_trunk == "random" else self.perceptual_net


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A batch and what an autoencoder made of it: what both players' losses are computed from."""

    inputs: Tensor  # [B,3,H,W] in [-1,1]
    outputs: Tensor  # the same, reconstructed
    latent: Latent
    cond: Tensor | None = None  # [B,C,H,W], shown to a conditional discriminator beside either
    weights: Tensor | None = None  # of the KL loss's error; broadcast against [B,3,H,W]


class AdversarialLoss(nn.Module):
    """What the KL and the VQ loss share: reconstruction error, the discriminator, its weight and its own loss.

    Deviation: before `disc_start` the discriminator is not run at all (CompVis: run and multiplied by zero), so
    g_loss, d_weight and both logits are logged as 0 there. The autoencoder learns the same.
    """

    def __init__(self, config: AutoencoderLossConfig) -> None:
        super().__init__()
        self.config = c = config
        self.perceptual_loss = None if c.trunk_name == "off" else make_lpips(c.perceptual_trunk, c.perceptual_net)
        self.discriminator = NLayerDiscriminator(c.disc_in_channels, c.disc_ndf, c.disc_num_layers, c.use_actnorm)
        self.discriminator.apply(weights_init)
        self.disc_loss = hinge_d_loss if c.disc_loss == "hinge" else vanilla_d_loss

    def player_loss(
        self, player: int, made: Reconstruction, step: int, last_layer: Tensor | None = None, split: str = "train"
    ) -> tuple[Tensor, Log]:
        """Loss of the AUTOENCODER or the DISCRIMINATOR, and its parts, detached, under names that begin with `split`.

        d_weight is measured at last_layer, the decoder's last weight; without it d_weight is 0.
        """
        self.check_condition(made.cond)
        if player == AUTOENCODER:
            loss, log = self.generator_loss(made, step, last_layer)
        else:
            loss, log = self.discriminator_loss(made, step)
        return loss, {f"{split}/{name}": value.detach() for name, value in log.items()}

    def generator_loss(self, made: Reconstruction, step: int, last_layer: Tensor | None = None) -> tuple[Tensor, Log]:
        """What encoder and decoder pay, and its parts."""
        raise NotImplementedError

    def check_condition(self, cond: Tensor | None) -> None:
        """ValueError unless a condition is given exactly where the discriminator takes one."""
        if (cond is not None) != self.config.disc_conditional:
            raise ValueError("cond must be given exactly when disc_conditional is set")

    def reconstruction_error(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        """[B,3,H,W]: L1 per element, plus each sample's other distances spread over its elements."""
        c = self.config
        difference = inputs - outputs
        rec = c.pixelloss_weight * difference.abs()
        if self.perceptual_loss is not None:
            rec = rec + c.perceptual_weight * self.perceptual_loss(inputs, outputs)
        if c.gradient_weight > 0:
            rec = rec + c.gradient_weight * gradient_l1(difference)
        if c.mse_weight > 0:
            rec = rec + c.mse_weight * difference.square()
        if c.coarse_weight > 0:
            boxes = opponent(nn.functional.avg_pool2d(difference, 8), c.chroma_boost)
            rec = rec + c.coarse_weight * boxes.square().mean(dim=(1, 2, 3), keepdim=True)
        return rec

    def adversarial(
        self, nll_loss: Tensor, made: Reconstruction, step: int, last_layer: Tensor | None
    ) -> tuple[Tensor, Log]:
        """d_weight·disc_factor·g, and these three: what the autoencoder pays for being found out."""
        c = self.config
        g_loss = d_weight = nll_loss.new_zeros(())
        disc_factor = adopt_weight(c.disc_factor, step, threshold=c.disc_start)
        if disc_factor > 0:
            g_loss = -self.discriminator(_join(made.outputs, made.cond)).mean()
            if last_layer is not None and g_loss.requires_grad and nll_loss.requires_grad:  # 0 in evaluation
                d_weight = adaptive_weight(nll_loss, g_loss, last_layer) * c.disc_weight
        log = {"d_weight": d_weight, "disc_factor": nll_loss.new_tensor(disc_factor), "g_loss": g_loss}
        return d_weight * disc_factor * g_loss, log

    def discriminator_loss(self, made: Reconstruction, step: int) -> tuple[Tensor, Log]:
        """disc_factor · hinge or vanilla loss on detached images, and the mean logits."""
        disc_factor = adopt_weight(self.config.disc_factor, step, threshold=self.config.disc_start)
        if disc_factor == 0:
            zero = made.inputs.new_zeros(())
            return zero, {"disc_loss": zero, "logits_real": zero, "logits_fake": zero}
        real = self.discriminator(_join(made.inputs.detach(), made.cond))
        fake = self.discriminator(_join(made.outputs.detach(), made.cond))
        loss = disc_factor * self.disc_loss(real, fake)
        return loss, {"disc_loss": loss, "logits_real": real.mean(), "logits_fake": fake.mean()}


class KLAutoencoderLoss(AdversarialLoss):
    """Both players' losses for a KL autoencoder. The reconstruction term is a sum over a sample's pixels (CompVis).

    `logvar` is a learned scale of the reconstruction error: error/exp(logvar) + logvar.
    """

    def __init__(self, config: AutoencoderLossConfig) -> None:
        super().__init__(config)
        self.logvar = nn.Parameter(torch.tensor(config.logvar_init), requires_grad=config.learn_logvar)

    def generator_loss(self, made: Reconstruction, step: int, last_layer: Tensor | None = None) -> tuple[Tensor, Log]:
        """nll + kl_weight·KL + d_weight·disc_factor·g, and its parts."""
        assert isinstance(made.latent, DiagonalGaussianDistribution)
        c, weights = self.config, made.weights
        rec = self.reconstruction_error(made.inputs, made.outputs)
        nll = rec / self.logvar.exp() + self.logvar
        weighted_nll = (nll if weights is None else weights * nll).sum() / len(nll)
        nll_loss = nll.sum() / len(nll)
        kl_loss = made.latent.kl().mean()
        gan, log = self.adversarial(nll_loss, made, step, last_layer)
        loss = weighted_nll + c.kl_weight * kl_loss + gan
        return loss, {
            "total_loss": loss,
            "logvar": self.logvar,
            "kl_loss": kl_loss,
            "nll_loss": nll_loss,
            "rec_loss": rec.mean(),
            **log,
        }


class VQAutoencoderLoss(AdversarialLoss):
    """Both players' losses. Unlike the KL loss, the reconstruction term is a mean, and there is no log-variance."""

    def generator_loss(self, made: Reconstruction, step: int, last_layer: Tensor | None = None) -> tuple[Tensor, Log]:
        """nll + codebook_weight·codebook + d_weight·disc_factor·g, and its parts.

        The log has the codebook's perplexity and how many of its entries the batch used.
        """
        quantized = made.latent
        assert isinstance(quantized, Quantized)
        nll_loss = self.reconstruction_error(made.inputs, made.outputs).mean()
        gan, log = self.adversarial(nll_loss, made, step, last_layer)
        loss = nll_loss + self.config.codebook_weight * quantized.loss + gan
        return loss, {
            "total_loss": loss,
            "quant_loss": quantized.loss,
            "nll_loss": nll_loss,
            "rec_loss": nll_loss,
            "perplexity": quantized.info.perplexity,
            "cluster_usage": quantized.info.cluster_usage.float(),
            **log,
        }


def gradient_l1(difference: Tensor, scales: Sequence[int] = (1, 2, 4)) -> Tensor:
    """Mean |∂x| + |∂y| of a difference image [B,C,H,W], averaged over scales (box-filtered): [B,1,1,1]."""
    total: Any = 0.0
    for scale in scales:
        d = difference if scale == 1 else nn.functional.avg_pool2d(difference, scale)
        dx, dy = d[..., :, 1:] - d[..., :, :-1], d[..., 1:, :] - d[..., :-1, :]
        total = total + dx.abs().mean(dim=(1, 2, 3), keepdim=True) + dy.abs().mean(dim=(1, 2, 3), keepdim=True)
    return total / len(scales)


def _join(images: Tensor, cond: Tensor | None) -> Tensor:
    return images if cond is None else torch.cat([images, cond], dim=1)


def opponent(difference: Tensor, boost: float) -> Tensor:
    """[B,3,H,W] of RGB → light, √boost · blue-yellow, boost · green-magenta: the axes along which drawings vary less
    and less, so that a squared error would learn them later and later. boost 1 is a rotation.
    """
    axes = difference.new_tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 2.0, -1.0]])
    scale = difference.new_tensor([1.0, boost**0.5, boost]) / axes.norm(dim=1)
    return torch.einsum("oc,bchw->bohw", axes * scale[:, None], difference)
