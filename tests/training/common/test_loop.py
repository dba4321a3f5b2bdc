"""What the loop decides about the machine."""

from __future__ import annotations

import pytest
import torch
from accelerate.state import AcceleratorState

from ldm_core.training.common import loop


@pytest.mark.parametrize(("bf16", "precision"), [(0.1, "bf16"), (0.9, "no"), (1.9, "no")])
def test_bf16_is_taken_where_a_product_is_faster_in_it(bf16: float, precision: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    monkeypatch.setattr(loop, "_product_seconds", {torch.bfloat16: bf16, torch.float32: 1.0}.__getitem__)
    loop.bf16_pays.cache_clear()
    AcceleratorState._reset_state()
    assert loop.make_accelerator(device="cpu").mixed_precision == precision
    AcceleratorState._reset_state()
    loop.bf16_pays.cache_clear()
