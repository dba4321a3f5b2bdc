"""The Losses lab: runs read as they were logged, damaged ones told in a sentence, losses equal to closed forms."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from app.labs.common.shared_results import SharedResults
from app.labs.losses import panels as losses
from app.labs.losses.curves import (
    GRADIENTS,
    LOGITS,
    adaptive_plot,
    adaptive_weights,
    adopt_plot,
    bins_of,
    bins_plots,
    curves_plot,
    player_terms,
    players_plot,
)
from app.labs.losses.runs import alive, find_runs, load_run, metrics_of, smoothed, stamp
from app.schemas import RequestError
from app.service import Service
from app.settings import Settings
from app.ui.lab_tab import LabTab
from app.widgets.translation import Translation
from ldm_core.shipped import EMOJI_128
from ldm_core.training.common.metric_log import MetricLog

HEADER = "step,name,value,seconds\n"


def logged(folder: Path, *steps: int) -> Path:
    log = MetricLog(folder, tensorboard=False)
    for step in steps:
        bins = {f"val/bin_{i:02d}": (i + 1.0) / step for i in range(20)}
        log.log(step, 60.0 * step, {"train/loss": 2.0**-step, **bins})
    log.close()
    return log.path


def file(tmp_path: Path, text: str) -> dict[str, Path]:
    path = tmp_path / "metrics.csv"
    path.write_bytes(text.encode("latin-1"))
    return {"mine": path}


def test_a_curve_is_what_was_logged(tmp_path: Path):
    runs = {"mine": logged(tmp_path, 1, 2, 4)}
    plot = curves_plot({"mine": load_run("mine", runs)}, ["train/loss"], "step", 0.0, False, "en")
    np.testing.assert_array_equal(plot.series[0].x, [1, 2, 4])
    np.testing.assert_allclose(plot.series[0].y, [0.5, 0.25, 0.0625])
    assert plot.summary == "mine went from 0.5 to 0.0625."
    minutes = curves_plot({"mine": load_run("mine", runs)}, ["train/loss"], "minutes", 0.0, False, "en")
    np.testing.assert_allclose(minutes.series[0].x, [1, 2, 4])


def test_a_half_written_last_line_is_left_out(tmp_path: Path):
    runs = file(tmp_path, HEADER + "1,a,5,1.0\n2,a,4,2.0\n3,a")
    assert load_run("mine", runs)["a"].steps.tolist() == [1, 2]


@pytest.mark.parametrize(
    "text",
    ["", "\x89PNG\r\n\x1a\n\xff\xfe", "loss\n1\n", HEADER + "one,a,5,1.0\n", HEADER + "1,a,5,1.0\n2,b,\x00\xff,1\n"],
)
def test_a_damaged_file_is_one_sentence(tmp_path: Path, text: str):
    with pytest.raises(RequestError, match="The metrics file of mine is damaged"):
        load_run("mine", file(tmp_path, text))


def test_an_empty_run_and_a_missing_one(tmp_path: Path):
    with pytest.raises(RequestError, match="has logged nothing yet"):
        load_run("mine", file(tmp_path, HEADER))
    with pytest.raises(RequestError, match="no run called yours"):
        load_run("yours", {})
    with pytest.raises(RequestError, match="no run called yours"):
        load_run("yours", {"yours": tmp_path / "gone.csv"})


def test_runs_are_found_beside_the_weights_and_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LATENT_LAB_RUNS", str(tmp_path))
    (tmp_path / "own").mkdir()
    logged(tmp_path / "own", 1)
    runs = find_runs(EMOJI_128)
    shipped = [f"emoji-128/{path.stem}" for path in (EMOJI_128.parent / "metrics").glob("*.csv")]
    assert list(runs) == [*sorted(shipped), "own"]
    known = metrics_of(load_run(name, runs) for name in runs)
    assert {"train/loss_simple", "val/loss_simple", "aeloss", "train/kl_loss", "val/psnr"} <= set(known)
    assert not any("bin_" in name for name in known)


def test_a_file_that_grows_is_noticed(tmp_path: Path):
    runs = {"mine": logged(tmp_path, 1)}
    before = stamp(["mine"], runs)
    assert alive(["mine"], runs) and not alive(["other"], runs)
    logged(tmp_path, 1, 2)
    assert stamp(["mine"], runs) != before
    assert load_run("mine", runs)["train/loss"].steps.tolist() == [1, 2]
    old = time.time() - 3600
    os.utime(runs["mine"], (old, old))
    assert not alive(["mine"], runs)


@given(st.floats(-1e3, 1e3), st.floats(0, 0.99), st.integers(1, 50))
def test_smoothing_a_constant_is_the_constant(value: float, weight: float, n: int):
    np.testing.assert_allclose(smoothed(np.full(n, value), weight), value, rtol=1e-9, atol=1e-9)


def test_smoothing_weighs_the_past_and_skips_gaps():
    y = np.array([1.0, np.nan, 3.0])
    np.testing.assert_allclose(smoothed(y, 0.5), [1.0, np.nan, (0.25 * 1 + 0.5 * 3) / 0.75])
    np.testing.assert_array_equal(smoothed(y, 0.0), y)


def test_curves_say_what_is_missing(tmp_path: Path):
    run = {"mine": load_run("mine", {"mine": logged(tmp_path, 1)})}
    for chosen, sentence in (
        (({}, ["a"]), "at least one run"),
        ((run, []), "at least one run"),
        ((run, ["nothing"]), "mine did not log nothing"),
        (({f"r{i}": run["mine"] for i in range(8)}, ["train/loss"]), "8 curves; at most 7"),
    ):
        with pytest.raises(RequestError, match=sentence):
            curves_plot(*chosen, "step", 0.0, False, "en")


def laid(folder: Path) -> dict[str, Any]:
    with gr.Blocks():
        service = Service(Settings(output_dir=folder))
        panels = LabTab(losses.LAB, service, Translation("en"), SharedResults(service)).panels
    return {panel.key: panel for panel in panels}


def drawn(panel: Any, **values: Any) -> dict[Any, Any]:
    opening = {name: component.value for name, component in panel.inputs.items()}
    return panel.redraw(None, *(opening | values).values())  # type: ignore[no-any-return]


def test_a_run_without_the_chosen_metrics_offers_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LATENT_LAB_RUNS", str(tmp_path))
    (tmp_path / "own").mkdir()
    logged(tmp_path / "own", 1)
    history = laid(tmp_path)["history"]
    seen = drawn(history, runs=["own"], metrics=["aeloss"])
    assert "did not log aeloss" in seen[history.note]
    assert seen[history.controls["metrics"]]["choices"] == ["train/loss", "aeloss"]


def test_the_discriminator_is_drawn_without_any_run(tmp_path: Path):
    balance = laid(tmp_path)["balance"]
    seen = drawn(balance, balance_run=None)
    assert seen[balance.note] == ""
    assert [card.plot in seen for card in balance.plot_cards] == [True, True, False]


def test_the_lab_opens_on_what_its_words_are_about(tmp_path: Path):
    panels = laid(tmp_path)
    history, balance = panels["history"], panels["balance"]
    assert history.controls["log"].value is False, "only on a linear axis does the loss hardly seem to move"
    seen = drawn(balance)
    assert seen[balance.note] == "" and balance.plot_cards[2].plot in seen, "a run that had a discriminator"


def test_what_the_words_say_of_the_shipped_runs():
    runs = find_runs(EMOJI_128)
    diffusion, decoder = (load_run(f"emoji-128/{part}", runs) for part in ("diffusion", "decoder"))

    def mean(metric: str, first: int, last: int) -> float:
        curve = diffusion[metric]
        return float(curve.values[(first <= curve.steps) & (curve.steps < last)].mean())

    assert mean("lr_factor", 1580, 1600) < 0.03 and mean("lr_factor", 1600, 1700) == 1
    assert mean("train/loss_simple", 1600, 1700) > 1.08 * mean("train/loss_simple", 1500, 1600)
    validation = diffusion["val/loss_simple"].values
    assert (np.diff(validation) < 0).all()
    train = smoothed(diffusion["train/loss_simple"].values, 0.6)
    assert np.ptp(train[len(train) // 10 :]) < 0.2 * np.ptp(train), "it hardly moves for most of the run"
    weight = decoder["train/d_weight"]
    assert not weight.values[weight.steps <= 300].any() and weight.values[weight.steps > 300].all()
    for name in ("autoencoder", "autoencoder-2"):
        assert not load_run(f"emoji-128/{name}", runs)["train/d_weight"].values.any()


def test_bins_are_a_map_of_steps_and_timesteps(tmp_path: Path):
    run = load_run("mine", {"mine": logged(tmp_path, 1, 2, 4)})
    steps, loss = bins_of(run, "mine")
    np.testing.assert_array_equal(steps, [1, 2, 4])
    np.testing.assert_allclose(loss, (np.arange(20)[:, None] + 1) / steps)
    heat, profile = bins_plots(run, "mine", True, "en")
    assert heat.heat is not None and len(profile.series) == 3
    np.testing.assert_allclose(heat.heat.values, np.log10(loss))
    assert "fell by 75%" in heat.summary and "20 times" in profile.summary
    with pytest.raises(RequestError, match="only diffusion runs do"):
        bins_of({"a": run["train/loss"]}, "mine")


def test_the_shipped_run_fell_in_every_bin():
    runs = find_runs(EMOJI_128)
    _, loss = bins_of(load_run("emoji-128/diffusion", runs), "emoji-128/diffusion")
    assert loss.shape[0] == 20 and (loss[:, -1] < loss[:, 0]).all()


def test_hinge_and_vanilla_are_half_of_torchs_own_losses():
    x = torch.from_numpy(LOGITS)
    real, fake = player_terms("hinge", LOGITS)
    expected = F.hinge_embedding_loss(x, -torch.ones_like(x), margin=1.0, reduction="none")  # max(0, 1−x)
    np.testing.assert_allclose(real, 0.5 * expected.numpy())
    np.testing.assert_allclose(fake, real[::-1])
    real, fake = player_terms("vanilla", LOGITS)
    for y, target in ((real, 1.0), (fake, 0.0)):
        expected = F.binary_cross_entropy_with_logits(x, torch.full_like(x, target), reduction="none")
        np.testing.assert_allclose(y, 0.5 * expected.numpy(), rtol=1e-6)
    assert "hinge, real 0.5" in players_plot(["hinge", "vanilla"], 0.0, "en").summary
    assert players_plot(["vanilla"], 0.0, "en").source == "ldm_core.losses.gan.vanilla_d_loss"
    with pytest.raises(RequestError):
        players_plot([], 0.0, "en")


def test_the_discriminator_waits_for_its_step():
    plot = adopt_plot(1000, 0.7, "en")
    (series,) = plot.series
    assert set(series.y[series.x < 1000]) == {0.0} and set(series.y[series.x >= 1000]) == {0.7}
    assert {999.0, 1000.0} <= set(series.x)
    assert set(adopt_plot(0, 1.0, "en").series[0].y) == {1.0}
    with pytest.raises(RequestError, match="at least 0, not -1"):
        adopt_plot(-1, 1.0, "en")


def test_adaptive_weight_is_a_clamped_ratio():
    for nll, y in adaptive_weights().items():
        np.testing.assert_allclose(y, np.minimum(nll / (GRADIENTS + 1e-4), 1e4), rtol=1e-6)
    assert [s.y.max() == 1e4 for s in adaptive_plot("zh").series] == [False, False, True]
