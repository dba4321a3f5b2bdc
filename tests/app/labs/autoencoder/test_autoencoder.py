"""The Autoencoder lab's numbers against the modules themselves."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import gradio as gr
import lpips
import numpy as np
import pytest
import torch

from app.labs.autoencoder.panels import CHANNELS, LAB, Reconstruction
from app.labs.autoencoder.reconstruction import Mix, kl_plot, mix_latents, reconstruct, sample_prior, shift_channel
from app.labs.common.maps import heat, signed
from app.labs.common.panels.pictures import figures, heat_figure, signed_bar
from app.labs.common.shared_results import SharedResults
from app.service import Service
from app.settings import Settings
from app.ui.lab_tab import LabTab
from app.widgets.translation import Translation
from ldm_core.pipeline import Pipeline
from tests.app.labs.studies import answer
from tests.tiny import tiny_pipeline


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return tiny_pipeline()


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)


def test_kl_is_torchs(pipe: Pipeline, picture: np.ndarray):
    made, _ = answer(reconstruct(pipe, picture, 0.0, 0))
    q = torch.distributions.Normal(torch.tensor(made.mean), torch.tensor(made.std))
    p = torch.distributions.Normal(torch.zeros(()), torch.ones(()))
    expected = torch.distributions.kl_divergence(q, p).sum()
    assert made.kl.sum() == pytest.approx(float(expected), rel=1e-4)
    assert f"{made.kl.sum():.0f} nats" in kl_plot(made.kl, "en").summary


def test_the_mode_is_the_pipelines_and_noise_moves_away(pipe: Pipeline, picture: np.ndarray):
    mode, _ = answer(reconstruct(pipe, picture, 0.0, 0))
    noisy, _ = answer(reconstruct(pipe, picture, 5.0, 0))
    np.testing.assert_array_equal(mode.reconstruction, pipe.decode(pipe.encode_image(picture)[None])[0])
    assert np.abs(noisy.reconstruction.astype(int) - mode.reconstruction.astype(int)).max() > 0
    error = np.abs(mode.reconstruction.astype(float) - picture).mean(axis=2) / 255
    np.testing.assert_allclose(mode.error, error, atol=1e-5)


def test_lpips_is_the_packages_own_with_a_random_trunk(pipe: Pipeline, picture: np.ndarray):
    made, _ = answer(reconstruct(pipe, picture, 0.0, 0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        peer = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    a, b = (torch.tensor(p).permute(2, 0, 1)[None] / 127.5 - 1 for p in (picture, made.reconstruction))
    assert made.lpips == pytest.approx(float(peer(a, b).detach()), rel=1e-4) and made.lpips > 0


@pytest.mark.parametrize("how", ["blend", "swap"])
def test_the_ends_of_a_mix_are_the_two_pictures(pipe: Pipeline, picture: np.ndarray, how: Mix):
    other = 255 - picture
    for share, end in ((0.0, picture), (1.0, other)):
        made, _ = answer(mix_latents(pipe, picture, other, share, how))
        np.testing.assert_array_equal(made, pipe.decode(pipe.encode_image(end)[None])[0])


def test_moving_a_channel_by_nothing_changes_nothing(pipe: Pipeline, picture: np.ndarray):
    still, _ = answer(shift_channel(pipe, picture, 2, 0.0))
    moved, _ = answer(shift_channel(pipe, picture, 2, 2.0))
    np.testing.assert_array_equal(still, pipe.decode(pipe.encode_image(picture)[None])[0])
    assert (moved != still).any()


def test_prior_draws_repeat_by_seed(pipe: Pipeline):
    a, b, c = (answer(sample_prior(pipe, 2, seed))[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_maps_put_zero_at_white_and_low_at_dark():
    values = np.array([[-1.0, 0.0, 1.0]])
    assert signed(values)[0, 1].min() >= 245
    assert signed(values)[0, 0, 2] > signed(values)[0, 0, 0]
    assert heat(values)[0, 0].sum() < heat(values)[0, 2].sum()


def test_a_map_s_colour_bar_says_what_its_ends_stand_for():
    values = np.array([[-0.25, 1.0], [0.5, 2.0]])
    _, pixels, bar = heat_figure("a map", values)
    assert re.findall("<span>(.*?)</span>", bar) == ["-0.25", "2"] and bar.count('class="heat"') == 1
    assert (pixels == heat(values, -0.25, 2.0)).all()
    assert re.findall("<span>(.*?)</span>", heat_figure("a map", values, 0.0)[-1]) == ["0", "2"]
    assert re.findall("<span>(.*?)</span>", signed_bar(values)) == ["−2", "0", "2"]
    assert figures([("plain", pixels), ("a map", pixels, bar)]).count("colour-bar") == 1


def test_every_map_of_the_latent_has_its_colour_bar(pipe: Pipeline, tmp_path: Path):
    service = Service(Settings(output_dir=tmp_path))
    service.run_work = lambda work: answer(work(pipe))[0]  # type: ignore[method-assign]
    service.models.own = replace(service.models.own, limits=replace(service.limits, image_size=32))
    with gr.Blocks():
        panel = LabTab(LAB, service, Translation("en"), SharedResults(service)).panels[0]
    drawn = panel.draw("en", picture=None, posterior_noise=0, posterior_seed=0)
    assert isinstance(panel, Reconstruction)
    assert drawn[panel.shown].count("colour-bar") == 1 and drawn[panel.channels].count("colour-bar") == 2 * CHANNELS
