"""Parts of files that training begins from: what is no such file is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ldm_core.training.common.weights import load_part


def test_a_part_is_found_or_refused_in_a_sentence(tmp_path: Path) -> None:
    module, good, other = nn.Linear(2, 3), tmp_path / "good.safetensors", tmp_path / "other.safetensors"
    save_file({"model.weight": torch.ones(3, 2), "model.bias": torch.zeros(3), "x": torch.zeros(1)}, good)
    load_part(good, "model.", module)
    assert module.weight.eq(1).all()
    save_file({"model.weight": torch.ones(4, 2), "model.bias": torch.zeros(4)}, other)
    (tmp_path / "text.txt").write_text("no weights")
    (tmp_path / "cut.safetensors").write_bytes(good.read_bytes()[:-4])
    for path, prefix, said in (
        (tmp_path / "nowhere", "model.", "there is no file"),
        (tmp_path / "text.txt", "model.", "text.txt is"),
        (tmp_path / "cut.safetensors", "model.", "truncated or damaged"),
        (good, "first_stage_model.", "has no weights under 'first_stage_model.'"),
        (other, "model.", "has weights of another geometry under 'model.': size mismatch for weight"),
    ):
        with pytest.raises(ValueError, match=said) as error:
            load_part(path, prefix, module)
        assert "\n" not in str(error.value)
