"""The geometry of a folder in diffusers' words, without any weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from diffusers import DDIMScheduler

from ldm_core.checkpoint import CheckpointError
from ldm_core.checkpoint.diffusers_config import read_config
from ldm_core.checkpoint.diffusers_export import write_config
from ldm_core.config import ScheduleConfig
from ldm_core.diffusion.schedule import NoiseSchedule
from ldm_core.presets import SD_V1, TINY
from tests.models.peers import SD_V1_TEXT, SD_V1_UNET, SD_V1_VAE


def test_sd_v1_is_described_as_it_was_published() -> None:
    files = write_config(SD_V1)
    for part, published in (("unet", SD_V1_UNET), ("vae", SD_V1_VAE), ("text_encoder", SD_V1_TEXT)):
        options = files[f"{part}/config.json"]
        for name in published.keys() - ({"sample_size"} if part == "vae" else set()):
            value = published[name]
            assert options[name] == ([*value] if isinstance(value, tuple) else value)
    scheduler = files["scheduler/scheduler_config.json"]
    assert scheduler["clip_sample"] is False
    assert scheduler["set_alpha_to_one"] is False
    assert (scheduler["steps_offset"], scheduler["prediction_type"]) == (1, "epsilon")
    assert (scheduler["beta_schedule"], scheduler["beta_start"], scheduler["beta_end"]) == (
        "scaled_linear",
        0.00085,
        0.012,
    )


def test_the_published_config_files_are_sd_v1(tmp_path: Path) -> None:
    """Older files name fewer options, another sample size of the autoencoder, and a scheduler of another class."""
    scheduler = {"_class_name": "PNDMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}
    scheduler |= {"beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "skip_prk_steps": True}
    parts = {"unet": SD_V1_UNET, "vae": SD_V1_VAE, "text_encoder": SD_V1_TEXT | {"projection_dim": 768}}
    for part, options in parts.items():
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text(json.dumps(options))
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    assert read_config(tmp_path) == SD_V1
    scheduler["prediction_type"] = "v_prediction"
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    tuned = read_config(tmp_path)
    assert (tuned.parameterization, tuned.default_guidance) == ("v", 7.5), "SD v1's networks, trained on"


SCHEDULES = [
    ScheduleConfig(linear_start=0.00085, linear_end=0.012),
    ScheduleConfig(beta_schedule="sqrt_linear", timesteps=200),
    ScheduleConfig(beta_schedule="cosine"),
    ScheduleConfig(beta_schedule="cosine", cosine_s=0.02),
    ScheduleConfig(beta_schedule="sqrt"),
    ScheduleConfig(timesteps=3, given_betas=(0.1, 0.2, 0.3)),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: f"{s.beta_schedule}-{s.timesteps}-{s.cosine_s}")
def test_every_schedule_means_the_same_there(schedule: ScheduleConfig, tmp_path: Path) -> None:
    ours = NoiseSchedule.from_config(schedule)
    files = write_config(replace(TINY, schedule=schedule))
    theirs = DDIMScheduler.from_config(files["scheduler/scheduler_config.json"])
    np.testing.assert_allclose(theirs.alphas_cumprod.numpy(), ours.alphas_cumprod, rtol=2e-4, atol=1e-7)
    for name, options in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(options))
    back = NoiseSchedule.from_config(read_config(tmp_path).schedule)
    np.testing.assert_allclose(back.betas, ours.betas, rtol=1e-12)


def test_what_a_folder_cannot_say_is_not_written() -> None:
    for config, message in (
        (replace(TINY, text=None), "text conditioning"),
        (replace(TINY, unet=replace(TINY.unet, channel_mult=(2, 4))), "channel_mult beginning with 1"),
        (replace(TINY, first_stage=replace(TINY.first_stage, embed_dim=3), unet=TINY.unet), "embed_dim"),
    ):
        with pytest.raises(CheckpointError, match=message):
            write_config(config)
