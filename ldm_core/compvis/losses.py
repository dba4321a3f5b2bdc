"""CompVis' autoencoder losses: their argument lists over our losses."""

from __future__ import annotations

from torch import Tensor

from ldm_core.losses.autoencoder import KLAutoencoderLoss, Log, Reconstruction, VQAutoencoderLoss
from ldm_core.models.distribution import DiagonalGaussianDistribution
from ldm_core.models.vq import Quantized


class LPIPSWithDiscriminator(KLAutoencoderLoss):
    """CompVis' loss of a KL autoencoder."""

    def forward(
        self,
        inputs: Tensor,
        reconstructions: Tensor,
        posteriors: DiagonalGaussianDistribution,
        optimizer_idx: int,
        global_step: int,
        last_layer: Tensor | None = None,
        cond: Tensor | None = None,
        split: str = "train",
        weights: Tensor | None = None,
    ) -> tuple[Tensor, Log]:
        """Images [B,3,H,W] in [-1,1] → (loss, log). optimizer_idx 0: encoder and decoder; 1: discriminator.

        cond [B,C,H,W] is concatenated where the discriminator is conditional; weights broadcast against [B,3,H,W].
        """
        made = Reconstruction(inputs, reconstructions, posteriors, cond, weights)
        return self.player_loss(optimizer_idx, made, global_step, last_layer, split)


class VQLPIPSWithDiscriminator(VQAutoencoderLoss):
    """CompVis' (taming-transformers') loss of a VQ autoencoder, which is handed its codebook's loss first.

    Deviation: `quantized` is the whole of what the codebook answers, not its loss and its indices apart.
    """

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
        """Images [B,3,H,W] in [-1,1] → (loss, log). optimizer_idx 0: everything but the discriminator; 1: that one."""
        made = Reconstruction(inputs, reconstructions, quantized, cond)
        return self.player_loss(optimizer_idx, made, global_step, last_layer, split)
