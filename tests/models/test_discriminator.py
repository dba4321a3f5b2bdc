from __future__ import annotations

import pytest
import torch
from torch import nn

from ldm_core.models.discriminator import ActNorm, NLayerDiscriminator, weights_init


@pytest.mark.parametrize("use_actnorm", [False, True])
def test_patches_and_receptive_field(use_actnorm: bool):
    net = NLayerDiscriminator(n_layers=3, use_actnorm=use_actnorm).apply(weights_init).eval()
    x = torch.zeros(1, 3, 256, 256, requires_grad=True)
    logits = net(x)
    assert logits.shape == (1, 1, 30, 30)
    # the well-known 70×70 patch: a logit from the middle sees exactly that many pixels
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.ones_(layer.weight)
    net(x)[0, 0, 15, 15].backward()
    seen = x.grad[0, 0] != 0
    assert (int(seen.any(0).sum()), int(seen.any(1).sum())) == (70, 70)


def test_published_keys_and_widths():
    net = NLayerDiscriminator(n_layers=3)
    convs = {k: tuple(v.shape[:2]) for k, v in net.state_dict().items() if v.ndim == 4}
    assert convs == {
        "main.0.weight": (64, 3),
        "main.2.weight": (128, 64),
        "main.5.weight": (256, 128),
        "main.8.weight": (512, 256),
        "main.11.weight": (1, 512),
    }
    assert "main.2.bias" not in net.state_dict()
    assert "main.2.bias" in NLayerDiscriminator(use_actnorm=True).state_dict()


def test_weights_init_statistics():
    torch.manual_seed(0)
    net = NLayerDiscriminator().apply(weights_init)
    assert float(net.main[8].weight.std()) == pytest.approx(0.02, rel=0.02)
    assert float(net.main[9].weight.mean()) == pytest.approx(1.0, abs=0.01)


def test_actnorm_sets_itself_from_the_first_batch_only():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(8, 5, 6, 6, generator=g) * torch.arange(1.0, 6).view(1, 5, 1, 1) + 3
    norm = ActNorm(5)
    norm.eval()(x)
    assert not norm.initialized
    y = norm.train()(x)
    torch.testing.assert_close(y.mean(dim=(0, 2, 3)), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.std(dim=(0, 2, 3)), torch.ones(5), atol=1e-4, rtol=0)
    again = norm(x + 100)
    torch.testing.assert_close(again, norm.scale * (x + 100 + norm.loc))
    assert float(again.mean()) > 1
