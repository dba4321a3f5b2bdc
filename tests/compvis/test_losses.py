from __future__ import annotations

import inspect

import pytest
import torch

from ldm_core.compvis.losses import LPIPSWithDiscriminator, VQLPIPSWithDiscriminator
from ldm_core.losses.autoencoder import AUTOENCODER, AutoencoderLossConfig, Reconstruction
from ldm_core.models.distribution import DiagonalGaussianDistribution
from ldm_core.models.vq import Quantized, codebook_info

CONFIG = AutoencoderLossConfig(
    perceptual_trunk="", disc_ndf=8, disc_num_layers=1, disc_start=0, disc_conditional=True, disc_in_channels=4
)


@pytest.mark.parametrize("kind", [LPIPSWithDiscriminator, VQLPIPSWithDiscriminator])
def test_compvis_arguments_reach_our_loss_in_their_order(kind: type[torch.nn.Module]):
    torch.manual_seed(0)
    g = torch.Generator().manual_seed(1)
    x, y = (torch.rand(2, 3, 16, 16, generator=g) for _ in range(2))
    last, cond = torch.nn.Parameter(torch.ones(())), torch.rand(2, 1, 16, 16, generator=g)
    y = y * last
    if kind is LPIPSWithDiscriminator:
        latent = DiagonalGaussianDistribution(torch.randn(2, 8, 4, 4, generator=g))
        first, weights = (x, y, latent), {"weights": torch.rand(2, 1, 16, 16, generator=g)}
    else:
        info = codebook_info(torch.randint(0, 8, (2, 4, 4), generator=g), 8)
        latent = Quantized(torch.zeros(2, 4, 4, 4), torch.tensor(0.3), info)
        first, weights = (latent, x, y), {}
    loss = kind(CONFIG)
    for player in (0, 1):
        given, log = loss(*first, player, 7, last, cond, "val", **weights)
        expected, parts = loss.player_loss(player, Reconstruction(x, y, latent, cond, **weights), 7, last, "val")
        assert torch.equal(given, expected)
        assert log.keys() == parts.keys() and all(name.startswith("val/") for name in log)
    assert loss(*first, AUTOENCODER, 7, last, cond)[1].keys() > {"train/d_weight", "train/rec_loss"}


def test_compvis_names_of_the_arguments():
    """As its repository has them (ldm/modules/losses/contperceptual.py)."""
    assert list(inspect.signature(LPIPSWithDiscriminator.forward).parameters)[1:] == [
        *("inputs", "reconstructions", "posteriors", "optimizer_idx", "global_step"),
        *("last_layer", "cond", "split", "weights"),
    ]
