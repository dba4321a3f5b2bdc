"""Files whose names and headers say more than shapes: believed, or refused by name at loading."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ldm_core.__main__ import main
from ldm_core.checkpoint import CheckpointError, convert, inspect_file, load_model
from ldm_core.checkpoint.source import read_source
from ldm_core.presets import TINY
from tests.tiny import tiny_checkpoint

ONE = {"model.diffusion_model.out.2.bias": torch.zeros(4)}  # what is read without being whole


def written(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> Path:
    save_file(ONE | tensors, path, metadata)
    return path


@pytest.mark.parametrize(
    ("tensors", "metadata", "predicts"),
    [
        ({}, {"modelspec.prediction_type": "v"}, "v"),
        ({}, {"modelspec.prediction_type": "V-Prediction"}, "v"),
        ({}, {"modelspec.prediction_type": "epsilon"}, "eps"),
        ({}, {"prediction_type": "sample"}, "x0"),
        ({"v_pred": torch.zeros(0)}, {}, "v"),
        ({}, {"v_pred": "true"}, "v"),
        ({}, {"ss_v_parameterization": "False"}, "eps"),
        ({}, {}, "eps"),
    ],
)
def test_what_a_file_predicts_is_believed(
    tensors: dict[str, torch.Tensor], metadata: dict[str, str], predicts: str, tmp_path: Path
) -> None:
    source = read_source(written(tmp_path / "file", tensors, metadata))
    assert source.config.parameterization == predicts
    assert source.tensors.keys() == ONE.keys()
    assert any("is believed" in note for note in source.notes) is (predicts != "eps")


def test_so_does_what_lies_beside_the_weights_of_a_pickle(tmp_path: Path) -> None:
    torch.save({"state_dict": ONE, "hyper_parameters": {"parameterization": "v"}}, tmp_path / "file.ckpt")
    assert read_source(tmp_path / "file.ckpt").config.parameterization == "v"


@pytest.mark.parametrize("mark", [{"ztsnr": torch.zeros(0)}, {"v_pred": torch.zeros(0), "ztsnr": torch.ones(1)}])
def test_zero_terminal_snr_is_refused_by_name(mark: dict[str, torch.Tensor], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="zero terminal SNR"):
        load_model(written(tmp_path / "file", mark))


def test_a_prediction_nobody_knows_is_refused_unless_one_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "file", {}, {"modelspec.prediction_type": "rectified_flow"})
    with pytest.raises(CheckpointError, match=r"'rectified_flow', .* --parameterization says what it is: eps, v, x0"):
        read_source(path)
    assert read_source(path, parameterization="v").config.parameterization == "v"


def test_the_command_line_has_the_last_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tiny_checkpoint(tmp_path)
    assert load_model(path).config.parameterization == TINY.parameterization == "eps"
    assert load_model(path, parameterization="v").config.parameterization == "v"
    assert main(["inspect", str(path), "--parameterization", "v"]) == 0
    out = capsys.readouterr().out
    assert "v-prediction" in out
    assert "as asked for" in out
    convert(read_source(path, parameterization="v"), tmp_path / "v.safetensors")
    assert load_model(tmp_path / "v.safetensors").config.parameterization == "v"


def test_a_converted_file_does_not_repeat_a_word_that_was_overruled(tmp_path: Path) -> None:
    says = {"modelspec.prediction_type": "epsilon", "modelspec.title": "a model"}
    path = tiny_checkpoint(tmp_path)
    with safe_open(path, "pt") as file:
        save_file(load_file(path), path, {**file.metadata(), **says})
    for chosen, kept in ((None, says), ("v", {"modelspec.title": "a model"})):
        out = convert(read_source(path, parameterization=chosen), tmp_path / f"{chosen}.safetensors")
        with safe_open(out, "pt") as file:
            assert {k: v for k, v in file.metadata().items() if k.startswith("modelspec.")} == kept


def test_the_files_own_scale_factor_is_believed(tmp_path: Path) -> None:
    """CompVis registers it as a buffer where it was measured (scale_by_std)."""
    source = read_source(written(tmp_path / "own", {"scale_factor": torch.tensor(0.13025)}))
    assert source.config.scale_factor == pytest.approx(0.13025)
    assert "scale_factor" in " ".join(source.notes)
    same = read_source(written(tmp_path / "same", {"scale_factor": torch.tensor(0.18215)}))
    assert (same.config.scale_factor, same.notes) == (0.18215, ())
    for wrong in (torch.tensor(0.0), torch.tensor(float("nan")), torch.ones(2)):
        with pytest.raises(CheckpointError, match="not one number above 0"):
            read_source(written(tmp_path / "wrong", {"scale_factor": wrong}))


@pytest.mark.parametrize("config", ["sd15.yaml", '{"model": {"base_learning_rate": 1e-4}}', "{}", "[1]"])
def test_another_programs_config_is_not_ours(config: str, tmp_path: Path) -> None:
    source = read_source(written(tmp_path / "file", {}, {"config": config}))
    assert (source.layout, source.config.name) == ("compvis", "sd-v1")
    assert any("another program's" in note for note in source.notes)


def test_eight_bit_weights_do_not_pass_inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tiny_checkpoint(tmp_path)
    tensors = {name: value.to(torch.float8_e4m3fn) for name, value in load_file(path).items()}
    metadata = {"config": json.dumps(TINY.to_dict()), "latent_lab_format": "1"}
    save_file(tensors, path, metadata)
    assert not inspect_file(path).loads
    assert main(["inspect", str(path)]) == 1
    assert "float8_e4m3fn is not read here" in capsys.readouterr().out
    with pytest.raises(CheckpointError, match="float8_e4m3fn are not read here"):
        load_model(path)
