"""Each normalisation alone, and the list as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ldm_core.checkpoint import CheckpointError
from ldm_core.checkpoint.normalise import (
    POSITION_IDS,
    choose_ema,
    drop_position_ids,
    drop_schedule,
    modern_text_names,
    normalise,
    unwrap,
)
from ldm_core.checkpoint.source import read_source
from ldm_core.diffusion.schedule import NoiseSchedule
from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.presets import SD_SCHEDULE, SD_V1

ONE = torch.ones(2)
SCHEDULE = NoiseSchedule.from_config(SD_SCHEDULE)


def test_unwrap() -> None:
    assert unwrap({"state_dict": {"a": ONE}, "epoch": 3}) == (
        {"a": ONE},
        {"epoch": "3"},
        ["weights unwrapped from a training checkpoint"],
    )
    assert unwrap({"a": ONE}) == ({"a": ONE}, {}, [])


def ema_file() -> dict[str, torch.Tensor]:
    return {
        "model.diffusion_model.input_blocks.0.0.weight": ONE,
        "first_stage_model.quant_conv.bias": ONE,
        "model_ema.diffusion_modelinput_blocks00weight": 2 * ONE,
        "model_ema.decay": torch.tensor(0.9999),
        "model_ema.num_updates": torch.tensor(5),
    }


def test_ema_is_left_aside_unless_asked_for() -> None:
    tensors, notes = choose_ema(ema_file(), use_ema=False)
    assert [*tensors] == ["model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.quant_conv.bias"]
    assert tensors["model.diffusion_model.input_blocks.0.0.weight"][0] == 1
    assert notes == ["3 averaged (EMA) tensors left aside"]


def test_ema_on_request() -> None:
    tensors, notes = choose_ema(ema_file(), use_ema=True)
    assert tensors.keys() == {"model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.quant_conv.bias"}
    assert tensors["model.diffusion_model.input_blocks.0.0.weight"][0] == 2
    assert notes == ["averaged (EMA) weights used"]


def test_ema_that_is_not_there_or_incomplete() -> None:
    with pytest.raises(CheckpointError, match="has none"):
        choose_ema({"model.a": ONE}, use_ema=True)
    tensors, _ = choose_ema(ema_file() | {"model.other": ONE}, use_ema=True)
    assert "model.other" not in tensors, "trained and averaged weights are never mixed: it is missing"
    tensors, _ = choose_ema(ema_file() | {"model_ema.other": ONE}, use_ema=True)
    assert "model_ema.other" in tensors, "it is unexpected"


def test_names_without_dots_are_still_unique() -> None:
    with torch.device("meta"):
        names = [n for n, _ in LatentDiffusion(SD_V1).named_parameters() if n.startswith("model.")]
    assert len({name.replace(".", "") for name in names}) == len(names) == 686


def test_old_text_naming() -> None:
    old = "cond_stage_model.transformer.embeddings.token_embedding.weight"
    new = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"
    assert modern_text_names({old: ONE}) == ({new: ONE}, ["text encoder in the old naming"])
    assert modern_text_names({new: ONE}) == ({new: ONE}, [])
    stranger = "cond_stage_model.transformer.logit_scale"
    assert modern_text_names({stranger: ONE}) == ({stranger: ONE}, [])


def test_position_ids() -> None:
    good = torch.arange(77)[None]
    assert drop_position_ids({POSITION_IDS: good, "a": ONE}) == ({"a": ONE}, [])
    assert drop_position_ids({POSITION_IDS: good.half()}) == ({}, [])
    damaged = good.float()
    damaged[0, 5] = 4.999  # as merged files have it
    tensors, notes = drop_position_ids({POSITION_IDS: damaged})
    assert not tensors
    assert "damaged" in notes[0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_schedule_buffers_agree_at_their_own_precision(dtype: torch.dtype) -> None:
    stored = {name: value.to(dtype) for name, value in SCHEDULE.buffers().items()}
    assert len(stored) == 12
    assert drop_schedule({**stored, "a": ONE}, SCHEDULE) == ({"a": ONE}, [])


def test_another_schedule_is_reported() -> None:
    other = NoiseSchedule(SCHEDULE.betas * 1.01).buffers()
    tensors, notes = drop_schedule({"betas": other["betas"]}, SCHEDULE)
    assert not tensors
    assert notes == ["the stored betas is not this schedule's; the computed one is used"]
    short = drop_schedule({"betas": other["betas"][:10]}, SCHEDULE)
    assert len(short[1]) == 1


def test_the_whole_list_in_a_file(tmp_path: Path) -> None:
    old = "cond_stage_model.transformer.embeddings."
    tensors = {**ema_file(), **SCHEDULE.buffers(), f"{old}position_ids": torch.arange(77)[None]}
    normalised, notes = normalise(dict(tensors), SD_V1, use_ema=True)
    assert normalised.keys() == {"model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.quant_conv.bias"}
    assert notes == ["averaged (EMA) weights used", "text encoder in the old naming"]
    save_file({n: t.contiguous().clone() for n, t in tensors.items()}, tmp_path / "file")
    assert read_source(tmp_path / "file", use_ema=True).tensors.keys() == normalised.keys()
