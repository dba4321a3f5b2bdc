"""The loss of a VQ autoencoder: L1 + LPIPS + codebook + PatchGAN (Esser et al. 2021, eq. 4-7)."""

from __future__ import annotations

from torch import Tensor

from ldm_core.losses.autoencoder import AdversarialLoss, Log
from ldm_core.models.vq import Quantized


class VQLPIPSWithDiscriminator(AdversarialLoss):
    """Both players' losses. Unlike the KL loss, the reconstruction term is a mean, and there is no log-variance."""

    def forward(
        self,
        quantized: Quantized,
        inputs: Tensor,
        reconstructions: Tensor,
        optimizer_idx: int,
        global_step: int,
        last_layer: Tensor | None = None,
        cond: Tensor | None = None,
        split: str = "train",
    ) -> tuple[Tensor, Log]:
        """Images [B,3,H,W] in [-1,1] → (loss, log). optimizer_idx 0: everything but the discriminator; 1: that one.

        The log has the codebook's perplexity and how many of its entries the batch used.
        """
        self.check_condition(cond)
        if optimizer_idx == 0:
            loss, log = self.generator_loss(quantized, inputs, reconstructions, global_step, last_layer, cond)
        else:
            loss, log = self.discriminator_loss(inputs, reconstructions, global_step, cond)
        return loss, {f"{split}/{name}": value.detach() for name, value in log.items()}

    def generator_loss(
        self,
        quantized: Quantized,
        inputs: Tensor,
        reconstructions: Tensor,
        global_step: int,
        last_layer: Tensor | None = None,
        cond: Tensor | None = None,
    ) -> tuple[Tensor, Log]:
        """nll + codebook_weight·codebook + d_weight·disc_factor·g, and its parts."""
        nll_loss = self.reconstruction_error(inputs, reconstructions).mean()
        gan, log = self.adversarial(nll_loss, reconstructions, global_step, last_layer, cond)
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
