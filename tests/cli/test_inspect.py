"""`inspect` and `convert` as a person types them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ldm_core.__main__ import main
from ldm_core.checkpoint import inspect_file, load_model
from ldm_core.presets import TINY
from tests.tiny import tiny_checkpoint, tiny_model


def test_our_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tiny_checkpoint(tmp_path, dtype="float16")
    found = inspect_file(path)
    numbers = {"UNet": "model.", "first stage": "first_stage_model.", "text encoder": "cond_stage_model."}
    weights = dict(tiny_model().named_parameters())
    assert (found.layout, found.container, found.config, found.loads) == ("latent-lab", "safetensors", TINY, True)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() == load_model(path).sha256
    assert found.parameters == {
        part: sum(p.numel() for name, p in weights.items() if name.startswith(prefix))
        for part, prefix in numbers.items()
    }
    assert found.dtypes == {"float16": sum(found.parameters.values())}
    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert found.sha256 in out
    assert "complete" in out


def test_a_file_of_another_geometry_is_described_and_not_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = load_file(tiny_checkpoint(tmp_path))
    tensors["first_stage_model.surprise"] = torch.zeros(1)
    save_file(tensors, tmp_path / "bare.ckpt")
    found = inspect_file(tmp_path / "bare.ckpt")
    assert (found.layout, found.container, found.loads) == ("compvis", "safetensors", False)
    assert "first_stage_model.surprise" in found.difference.unexpected
    fitting = len(tensors) - len(found.difference.unexpected)
    assert len(found.difference.missing) + fitting == 1130
    assert main(["inspect", str(tmp_path / "bare.ckpt")]) == 1
    assert f"{len(found.difference.missing)} missing" in capsys.readouterr().out


def test_convert_there_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tiny_checkpoint(tmp_path)
    assert main(["convert", str(path), str(tmp_path / "folder"), "--format", "diffusers"]) == 0
    assert main(["inspect", str(tmp_path / "folder"), str(path)]) == 0
    assert main(["convert", str(tmp_path / "folder"), str(tmp_path / "back.safetensors"), "--dtype", "bfloat16"]) == 0
    back, weights = load_file(tmp_path / "back.safetensors"), load_file(path)
    assert all(torch.equal(back[name], weights[name].bfloat16()) for name in weights)
    capsys.readouterr()


def test_ema_of_a_training_file(tmp_path: Path) -> None:
    """Through the whole path: a Lightning-like .ckpt of SD v1 names, converted with --ema, has the averages."""
    from ldm_core.checkpoint.normalise import EMA
    from ldm_core.checkpoint.source import read_source

    state = dict(tiny_model().state_dict())
    averages = {EMA + n.removeprefix("model.").replace(".", ""): v + 1 for n, v in state.items() if n[:6] == "model."}
    counters = {"model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(3)}
    torch.save({"state_dict": {**state, **averages, **counters}, "epoch": 1}, tmp_path / "last.ckpt")
    plain, averaged = (read_source(tmp_path / "last.ckpt", use_ema=use).tensors for use in (False, True))
    weights = dict(tiny_model().named_parameters())
    assert plain.keys() == averaged.keys() == weights.keys()
    for name, value in weights.items():
        assert torch.equal(plain[name], value)
        assert torch.equal(averaged[name], value + 1 if name.startswith("model.") else value)


@pytest.mark.parametrize("verb", [["inspect"], ["convert", "--format", "diffusers"]])
def test_one_clear_error(verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.safetensors").write_text("buy apples")
    arguments = [str(tmp_path / "notes.safetensors"), *([str(tmp_path / "out")] if verb[0] == "convert" else [])]
    assert main([*verb, *arguments]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1] == "error: notes.safetensors is a text file, not weights"
    assert not (tmp_path / "out").exists()
