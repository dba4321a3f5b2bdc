from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ldm_core.losses.autoencoder import AutoencoderLossConfig
from ldm_core.models.autoencoder import AutoencoderKL
from ldm_core.presets import TINY
from ldm_core.training.autoencoder.decoder_finetune import DecoderTuning
from ldm_core.training.autoencoder.task import AutoencoderTask, AutoencoderTraining
from ldm_core.training.common.frozen_parts import encoder_state, weights_hash
from ldm_core.training.common.loop import Loop, make_accelerator
from ldm_core.training.common.settings import LoopSettings
from ldm_core.training.common.state import averaged_weights


@pytest.fixture
def autoencoder() -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(TINY.first_stage).eval()


def test_without_noise_it_is_the_autoencoder(autoencoder: AutoencoderKL):
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    expected, posterior = autoencoder(image, sample_posterior=False)
    tuned, seen = DecoderTuning(autoencoder, 0.0)(image, sample_posterior=False)
    torch.testing.assert_close(tuned, expected)
    torch.testing.assert_close(seen.mean, posterior.mean)


def test_latents_are_moved_by_noise_of_every_level_up_to_the_limit(
    autoencoder: AutoencoderKL, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(autoencoder, "decode", lambda z: z)
    image = torch.rand(1, 3, 32, 32).expand(400, -1, -1, -1)
    z, posterior = DecoderTuning(autoencoder, 0.5)(image, False, torch.Generator().manual_seed(0))
    levels = (z - posterior.mean).flatten(1).std(1)
    assert float(levels.max()) == pytest.approx(0.5, rel=0.1) and float(levels.min()) < 0.02
    assert float(levels.mean()) == pytest.approx(0.25, rel=0.1)  # uniform


def test_the_encoder_stays_bit_for_bit_and_the_decoder_learns(tmp_path: Path):
    settings = AutoencoderTraining(
        preset="TINY",
        decoder_only=True,
        latent_noise=0.1,
        loop=LoopSettings(batch=2, lr=1e-3, max_steps=4, warmup=1, log_every=1),
        loss=AutoencoderLossConfig(perceptual_trunk="", disc_start=1, disc_ndf=4, disc_num_layers=1),
        crop=16,
        validation=2,
    )
    drawings = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 4), np.uint8)
    palette = np.array([[200, 30, 30]], np.uint8)
    draw = lambda rng, n: rng.integers(4, size=n)  # noqa: E731
    task = AutoencoderTask(settings, drawings, draw, np.array([4, 5]), palette, make_accelerator("no"))
    before = {k: v.clone() for k, v in task.autoencoder.state_dict().items()}
    Loop(task, settings.loop, tmp_path, task.accelerator, tensorboard=False).run()

    after = averaged_weights(tmp_path, "first_stage_model")
    assert after.keys() == before.keys()
    encoder = encoder_state(task.autoencoder)
    assert all(torch.equal(after[k], before[k]) for k in encoder)
    assert weights_hash({k: after[k] for k in encoder}) == weights_hash({k: before[k] for k in encoder})
    assert not torch.equal(after["decoder.conv_out.weight"], before["decoder.conv_out.weight"])


def test_settings_that_make_no_sense_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="latent_noise is for decoder_only"):
        AutoencoderTraining(latent_noise=0.1)
    with pytest.raises(ValueError, match="kind 'vq'"):
        AutoencoderTraining(preset="EMOJI_128_VQ", decoder_only=True)
