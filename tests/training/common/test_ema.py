from __future__ import annotations

import pytest
import torch
from torch import nn

from ldm_core.training.common.ema import LitEma, ema_scope


def scalar(value: float) -> nn.Linear:
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, value)
    return module


def test_after_the_warm_up_the_decay_is_the_one_that_was_asked_for():
    module = scalar(0.0)
    ema = LitEma(module, 0.3)
    nn.init.constant_(module.weight, 1.0)
    for _ in range(5):
        ema.update(module)
    assert float(ema.shadow["weight"]) == pytest.approx(1 - 2 / 11 * 3 / 12 * 0.3**3, abs=1e-6)


def test_warm_up_decays_are_one_plus_n_over_ten_plus_n():
    module = scalar(0.0)
    ema = LitEma(module, 0.999)
    expected = 0.0
    for n in range(1, 30):
        nn.init.constant_(module.weight, float(n))
        ema.update(module)
        d = min(0.999, (1 + n) / (10 + n))
        expected = d * expected + (1 - d) * n
    assert float(ema.shadow["weight"]) == pytest.approx(expected, rel=1e-6)


def test_store_copy_restore_leave_the_module_as_it_was():
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    ema = LitEma(module, 0.5)
    for p in module.parameters():
        nn.init.normal_(p)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    ema.update(module)
    with ema_scope(ema, module):
        assert all(torch.equal(p, ema.shadow[n]) for n, p in module.named_parameters())
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    with pytest.raises(RuntimeError):
        ema.restore(module)


def test_frozen_parameters_are_not_averaged():
    module = nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    assert set(LitEma(module).shadow) == {"weight"}
