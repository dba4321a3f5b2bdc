"""The loss of a VQ autoencoder: L1 + LPIPS + codebook + PatchGAN (Esser et al. 2021, eq. 4-7)."""

from __future__ import annotations

from torch import Tensor

from ldm_core.losses.autoencoder import AdversarialLoss, Log, Reconstruction
from ldm_core.models.vq import Quantized


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
