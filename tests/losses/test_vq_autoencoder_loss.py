from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from ldm_core.losses.autoencoder import (
    AUTOENCODER,
    DISCRIMINATOR,
    AutoencoderLossConfig,
    Reconstruction,
    VQAutoencoderLoss,
)
from ldm_core.losses.gan import hinge_d_loss
from ldm_core.models.vq import Quantized, codebook_info


def small(**changes: object) -> VQAutoencoderLoss:
    values = {"perceptual_trunk": "", "disc_ndf": 8, "disc_num_layers": 1, "disc_start": 0, **changes}
    torch.manual_seed(0)
    return VQAutoencoderLoss(AutoencoderLossConfig(**values))  # type: ignore[arg-type]


def made() -> Reconstruction:
    g = torch.Generator().manual_seed(1)
    x, y = (torch.rand(2, 3, 16, 16, generator=g) * 2 - 1 for _ in range(2))
    info = codebook_info(torch.randint(0, 8, (2, 4, 4), generator=g), 8)
    return Reconstruction(x, y, Quantized(torch.zeros(2, 4, 4, 4), torch.tensor(0.3), info))


def test_generator_branch_is_means_and_not_sums():
    batch, last = made(), nn.Parameter(torch.ones(()))
    x, y, info = batch.inputs, batch.outputs, batch.latent.info
    loss = small(codebook_weight=2.0, disc_weight=0.8)
    total, log = loss.player_loss(AUTOENCODER, replace(batch, outputs=y * last), 0, last)
    nll, g = (x - y * last).abs().mean(), -loss.discriminator(y * last).mean()
    grads = [torch.autograd.grad(v, last, retain_graph=True)[0].abs() for v in (nll, g)]
    weight = 0.8 * grads[0] / (grads[1] + 1e-4)
    torch.testing.assert_close(total, nll + 2.0 * 0.3 + weight * g, rtol=1e-4, atol=0)
    torch.testing.assert_close(log["train/quant_loss"], torch.tensor(0.3))
    assert float(log["train/perplexity"]) == pytest.approx(float(info.perplexity))
    assert float(log["train/cluster_usage"]) == len(info.indices.unique())


def test_discriminator_branch_and_its_start():
    batch = made()
    loss = small(disc_start=5)
    value, log = loss.player_loss(DISCRIMINATOR, batch, 5, split="val")
    expected = hinge_d_loss(loss.discriminator(batch.inputs), loss.discriminator(batch.outputs))
    torch.testing.assert_close(value, expected)
    assert set(log) == {"val/disc_loss", "val/logits_real", "val/logits_fake"}
    assert not loss.player_loss(DISCRIMINATOR, batch, 4)[0].requires_grad
    assert float(loss.player_loss(AUTOENCODER, batch, 4)[1]["train/g_loss"]) == 0


def test_conditional_discriminator():
    loss = small(disc_conditional=True, disc_in_channels=4)
    seen = replace(made(), cond=torch.zeros(2, 1, 16, 16))
    assert loss.player_loss(DISCRIMINATOR, seen, 0)[0].requires_grad
    with pytest.raises(ValueError, match="cond"):
        loss.player_loss(AUTOENCODER, made(), 0)
