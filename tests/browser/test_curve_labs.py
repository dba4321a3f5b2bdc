"""Lower bound and Losses: what is said about a curve is what ldm_core computes; a run is trained from the page."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from torch.utils.tensorboard import SummaryWriter

from app.i18n import say
from ldm_core.diffusion.schedule import NoiseSchedule, make_beta_schedule
from ldm_core.losses.diffusion import min_snr_weights
from ldm_core.shipped import EMOJI_128
from tests.app.serving import Served
from tests.browser.driving import Traffic, caption, choose, note, number, open_lab, set_number, set_slider

pytestmark = pytest.mark.browser


def half(weights: np.ndarray) -> int:
    """The first t at which half of all weight has been met."""
    return int(np.argmax(np.cumsum(weights) >= 0.5 * weights.sum()))


def logged(name: str, part: str = "diffusion") -> np.ndarray:
    """A curve of the shipped run."""
    with (EMOJI_128.parent / "metrics" / f"{part}.csv").open() as file:
        return np.array([float(row["value"]) for row in csv.DictReader(file) if row["name"] == name])


def test_weights_of_the_bound(labs: Page):
    open_lab(labs, "lower_bound")
    said = caption(labs, "weights")
    expect(said).to_contain_text("t = 400", timeout=60_000)
    expect(labs.locator("#panel-weights .plot .main-svg").first).to_be_visible()
    linear = NoiseSchedule(make_beta_schedule("linear", 1000, 0.00085, 0.012))
    set_slider(labs, "weights-t", 700)
    expect(said).to_contain_text("t = 700")
    for form, name in (("eps", "ε (bound) "), ("x0", "x₀ (bound) "), ("v", "v (bound) ")):
        expected = linear.lvlb_weights(form, published=False)[700]
        assert number(said.inner_text(), name) == pytest.approx(expected, rel=1e-3)
    assert number(said.inner_text(), "x₀ (published) ") == pytest.approx(linear.lvlb_weights("x0")[700], rel=1e-3)
    choose(labs, "weights-kind", "cosine")
    cosine = NoiseSchedule(make_beta_schedule("cosine", 1000))
    expect(said).to_contain_text(f"ε (bound) {cosine.lvlb_weights('eps', published=False)[700]:.4g}")
    expect(caption(labs, "first")).to_contain_text(f"{cosine.lvlb_weights('eps')[1]:.4g}")
    choose(labs, "weights-kind", "linear (√β)")
    for box in labs.locator("#weights-forms input").all():
        box.uncheck()
    expect(note(labs, "weights")).to_have_text("Choose at least one weight.")


def test_where_half_of_a_loss_lies(labs: Page):
    open_lab(labs, "lower_bound")
    said = caption(labs, "objectives", 1)
    snr = NoiseSchedule(make_beta_schedule("linear", 1000, 0.00085, 0.012)).snr
    expect(said).to_contain_text(f"simple loss on ε lies at t ≤ {half(snr)}")
    expect(said).to_contain_text(f"simple loss on v lies at t ≤ {half(snr + 1)}")
    for gamma in (5, 1):
        set_slider(labs, "objectives-gamma", gamma)
        expect(said).to_contain_text(f"min-SNR lies at t ≤ {half(np.minimum(snr, gamma))}")
    labs.locator("#objectives-measured").get_by_label("ε", exact=True).check()
    expect(said).to_contain_text(f"simple loss on ε lies at t ≤ {half(np.ones(1000))}")
    expect(said).to_contain_text(f"min-SNR lies at t ≤ {half(min_snr_weights(snr, 1.0, 'eps'))}")


def test_each_plot_is_saved_as_its_own_file(labs: Page, tmp_path: Path):
    open_lab(labs, "lower_bound")
    cards = labs.locator("#panel-objectives .card")
    expect(caption(labs, "objectives", 1)).to_contain_text("half of")
    for nth in (0, 1):
        card = cards.nth(nth)
        card.get_by_role("button", name=say("en", "values_files")).click()
        expect(card.locator("tbody tr").first).to_be_visible()
        table = [text.split("\t") for text in card.locator("tbody tr").all_inner_texts()]
        with labs.expect_download() as caught:
            card.get_by_role("button", name="CSV", exact=True).click()
        caught.value.save_as(tmp_path / "values.csv")
        with (tmp_path / "values.csv").open(encoding="utf-8") as file:
            rows = [[f"{float(value):.5g}" for value in row] for row in list(csv.reader(file))[1:]]
        assert table[0] == rows[0] and all(row in rows for row in table)
    with labs.expect_download() as caught:
        cards.nth(0).get_by_role("button", name="PNG", exact=True).click()
    assert caught.value.suggested_filename.endswith(".png")


def test_curves_of_the_shipped_run(labs: Page):
    open_lab(labs, "losses")
    said = caption(labs, "history")
    curve = logged("train/loss_simple")
    for smoothing in (0.0, 0.9):
        set_slider(labs, "history-smoothing", smoothing)
        past = smoothing ** np.arange(len(curve))[::-1]
        last = float((past * curve).sum() / past.sum())
        expect(said).to_contain_text(f"train/loss_simple went from {curve[0]:.4g} to {last:.4g}")
    choose(labs, "history-metrics", "val/loss_vlb")
    expect(said).to_contain_text("val/loss_vlb went from")
    labs.keyboard.press("Escape")
    labs.locator("#history-log input").check()
    expect(labs.locator("#panel-history .plot .main-svg").first).to_be_visible()


def test_loss_by_timestep(labs: Page):
    open_lab(labs, "losses")
    bins = np.array([logged(f"val/bin_{k:02d}")[[0, -1]] for k in range(20)])
    fall = 1.0 - bins[:, 1] / bins[:, 0]
    said = caption(labs, "bins")
    expect(said).to_contain_text(f"near t/T = {(np.argmax(fall) + 0.5) / 20:.3g}")
    expect(said).to_contain_text(f"{fall.max():.0%}")
    expect(caption(labs, "bins", 1)).to_contain_text(f"{bins[:, 1].max() / bins[:, 1].min():.2g} times")
    labs.locator("#bins-log input").check()
    expect(labs.locator("#panel-bins .plot").first).to_contain_text("log₁₀")
    choose(labs, "bins-bins_run", "tiny · autoencoder")
    expect(note(labs, "bins")).to_contain_text("did not log its loss by timestep")


def test_what_the_discriminator_pays(labs: Page):
    open_lab(labs, "losses")
    set_slider(labs, "players-logit", -0.4)
    said = caption(labs, "players")
    expect(said).to_contain_text(f"hinge, real {0.5 * 1.4:.3g}")
    expect(said).to_contain_text(f"hinge, made {0.5 * 0.6:.3g}")
    expect(said).to_contain_text(f"vanilla, made {0.5 * math.log1p(math.exp(-0.4)):.3g}")
    set_number(labs, "balance-disc_start", 120)
    expect(caption(labs, "balance")).to_contain_text("0 before step 120, 1 from then on")
    set_number(labs, "balance-disc_start", -1)
    expect(note(labs, "balance")).to_contain_text("must be at least 0, not -1")
    set_number(labs, "balance-disc_start", 120)


def test_runs_of_others_and_damaged_ones(labs: Page, served: Served):
    folder = served.log.parent / "runs"
    (folder / "broken").mkdir(parents=True)
    (folder / "broken" / "metrics.csv").write_bytes(b"\x00\x18 brain.Event:2 \xff\xfe")
    for name in ("events", "broken-events"):
        with SummaryWriter(str(folder / name)) as writer:
            for step in (1, 2):
                for k in range(20):
                    writer.add_scalar(f"val/bin_{k:02d}", (k + 1.0) / step, step)
    (path,) = (folder / "broken-events").glob("*tfevents*")
    path.write_bytes(b"no event" + path.read_bytes()[8:])
    open_lab(labs, "schedules")
    traffic = Traffic(labs)
    open_lab(labs, "losses")  # opened again, it knows the new run
    traffic.settle()  # a list that is open while it is brought up to date closes
    for name, said in {
        "broken": "The metrics file of broken is damaged: it should be a table of step, name, value and seconds.",
        "broken-events": "An event file of broken-events is damaged: TensorBoard's own reader refuses a record in it.",
    }.items():
        choose(labs, "bins-bins_run", name)
        expect(note(labs, "bins")).to_have_text(said)
        traffic.settle()
    choose(labs, "bins-bins_run", "events")
    expect(caption(labs, "bins")).to_contain_text("From step 1 to 2 the mean over all t fell by 50%")
    traffic.settle()
    choose(labs, "bins-bins_run", "tiny · diffusion")
    expect(note(labs, "bins").locator(".failed")).to_have_count(0)


@pytest.mark.slow  # half a minute
def test_a_run_is_started_seen_to_move_and_stopped(labs: Page):
    open_lab(labs, "losses")
    line = note(labs, "training")
    set_slider(labs, "training-train_steps", 1000)
    labs.click("#training-run")
    expect(line).to_contain_text(re.compile(r"Starting|Training"))
    expect(labs.locator("#training-run")).to_be_disabled()
    expect(labs.locator("#training-samples img").first).to_be_visible()
    expect(line).to_contain_text(re.compile(r"Step \d+ of 1000"))
    before = number(line.inner_text(), "Step ")
    labs.wait_for_function(
        "(before) => Number(document.querySelector('#panel-training .panel-note').innerText"
        r".match(/Step (\d+) of/)?.[1]) > before",
        arg=before,
    )
    expect(caption(labs, "training")).to_contain_text(re.compile("page-.* went from"))
    labs.click("#training-stop")
    expect(line).to_contain_text("Stopped.")
    expect(labs.locator("#training-run")).to_be_enabled()
    expect(labs.locator("#training-stop")).to_be_disabled()
