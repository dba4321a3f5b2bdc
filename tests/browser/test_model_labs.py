"""Denoising and Attention: a generation kept in the page, and every number about it as ldm_core gives it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from app.labs.attention.maps import ALL, MEAN, attention_maps, of_token, shares_over_steps
from app.labs.common.trajectory import Film, film
from app.labs.denoising.ddim_inversion import invert
from app.labs.denoising.plots import anatomy, compare_fork, seen
from ldm_core.pipeline import Pipeline
from ldm_core.sampling import SamplingParams
from tests.app.labs.studies import answer
from tests.browser.driving import caption, choose, note, number, open_lab, pixels, set_slider

pytestmark = pytest.mark.browser
STEPS = 3
KEPT = SamplingParams("a red apple", steps=STEPS)
CLOSE = 0.02  # relative: three digits on the page, another number of threads


@pytest.fixture(scope="module")
def made(pipe: Pipeline) -> Film:
    """What the page's button makes, made here."""
    return answer(film(pipe, KEPT))[0]


@pytest.fixture(scope="module")
def denoising(labs: Page) -> Page:
    """The Denoising tab with its generation kept."""
    open_lab(labs, "denoising")
    expect(labs.locator("#scrub-shown img")).to_have_count(8)  # it opens drawn
    run(labs, "walked")
    return labs


def run(page: Page, panel: str) -> None:
    page.fill(f"#{panel}-walk_prompt textarea", KEPT.prompt)
    set_slider(page, f"{panel}-walk_steps", STEPS)
    page.click(f"#{panel}-run")
    expect(note(page, panel)).to_contain_text(f"Steps kept: {STEPS}, seed 7")


def test_a_generation_is_kept_and_filmed(denoising: Page, made: Film):
    film = denoising.locator("#walked-film img")
    expect(film).to_have_count(STEPS + 1)
    assert np.abs(pixels(film.last) - made.picture).max() <= 2
    assert np.abs(pixels(film.first) - made.frames[1]).max() <= 2


def test_any_step_is_scrubbed(denoising: Page, made: Film, pipe: Pipeline):
    for step in (2, 3):
        set_slider(denoising, "walked-step", step)
        figures = denoising.locator("#scrub-shown")
        change = answer(seen(pipe, made.trajectory, step))[0].change.max()
        expect(figures.locator(".colour-bar").first).to_contain_text(f"{change:.3g}")
        expect(figures.locator("img")).to_have_count(8)
        norm = answer(anatomy(pipe, made.trajectory, step))[0].norm.max()
        expect(denoising.locator("#anatomy-shown .colour-bar")).to_contain_text(f"{norm:.3g}")
    moved = [(b.prediction.x0 - a.prediction.x0).square().mean().sqrt() for a, b in pairwise(made.trajectory.steps)]
    said = caption(denoising, "scrub").inner_text()
    assert number(said, "in step ") == int(np.argmax(moved)) + 2
    assert number(said, ": ", " RMS") == pytest.approx(float(max(moved)), rel=CLOSE)


def test_a_fork_goes_its_own_way(denoising: Page, made: Film, pipe: Pipeline):
    for k, prompt in ((2, "a blue car"), (3, "")):
        set_slider(denoising, "fork-fork_step", k)
        denoising.fill("#fork-fork_prompt textarea", prompt)
        denoising.click("#fork-run")
        expect(caption(denoising, "fork")).to_contain_text(f"same up to step {k}")
        branch = answer(compare_fork(pipe, made.trajectory, k, SamplingParams(prompt or KEPT.prompt, steps=STEPS)))[
            0
        ].branch
        apart = (branch.final - made.trajectory.final).square().mean().sqrt()
        shown = number(caption(denoising, "fork").inner_text(), "the latents end ")
        assert shown == pytest.approx(float(apart), rel=CLOSE)
        assert (shown == 0) is (not prompt)
        expect(denoising.locator("#fork-run")).to_be_enabled()
    set_slider(denoising, "fork-fork_step", STEPS + 1)
    denoising.click("#fork-run")
    expect(note(denoising, "fork")).to_have_text(f"The fork must lie in step 1…{STEPS}, not {STEPS + 1}.")


def test_a_picture_is_inverted(denoising: Page, pipe: Pipeline, tmp_path: Path):
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[8:24, 8:24] = (230, 60, 30)
    good, bad = tmp_path / "square.png", tmp_path / "text.png"
    Image.fromarray(picture).save(good)
    bad.write_text("not a picture")
    denoising.set_input_files("#inversion-picture input[type=file]", good)
    expect(denoising.locator("#inversion-picture")).to_contain_text("square")
    set_slider(denoising, "inversion-inversion_steps", STEPS)
    expect(caption(denoising, "inversion")).to_contain_text("with an error of")  # everybody's, which it opens with
    opening = caption(denoising, "inversion").inner_text().splitlines()[0]
    denoising.click("#inversion-run")
    expect(caption(denoising, "inversion")).not_to_contain_text(opening)
    back = answer(invert(pipe, picture, "", STEPS, 0))[0]
    said = caption(denoising, "inversion").inner_text()
    assert number(said, "with an error of ") == pytest.approx(back.error, rel=CLOSE)
    assert number(said, "PSNR ") == pytest.approx(back.psnr, abs=0.3)

    expect(denoising.locator("#inversion-run")).to_be_enabled()
    denoising.locator("#inversion-picture").get_by_label("Clear").first.click()
    denoising.set_input_files("#inversion-picture input[type=file]", bad)
    expect(denoising.locator("#inversion-picture")).to_contain_text("text")
    denoising.click("#inversion-run")
    expect(note(denoising, "inversion")).to_contain_text("not a picture that can be read")


def test_attention_is_read_per_token_layer_head_and_step(labs: Page, made: Film, pipe: Pipeline):
    open_lab(labs, "attention")
    shown = labs.locator("#heat-shown")
    expect(shown).to_contain_text("banana")  # of the generation it opens with
    run(labs, "read")
    expect(shown).not_to_contain_text("banana")  # the new one is drawn
    labs.locator("#heat-token").get_by_label("apple", exact=True).check()
    expect(shown).to_contain_text("“apple” over the picture")
    looked = answer(attention_maps(pipe, made.trajectory, STEPS))[0]
    expect(shown.locator("img")).to_have_count(2 + len(looked.tokens))
    names = [token.says("en") for token in looked.tokens]
    layer = next(iter(looked.maps))

    def most(token: str, layer: str, head: int) -> float:
        return float(of_token(looked.maps, looked.tokens[names.index(token)], layer, head).max())

    expect(shown).to_contain_text(f"at most {most('apple', ALL, MEAN):.1%}")
    labs.locator("#heat-token").get_by_label("red", exact=True).check()
    expect(shown).to_contain_text("“red” over the picture")
    expect(shown).to_contain_text(f"at most {most('red', ALL, MEAN):.1%}")
    labs.locator("#heat-layer input").click()
    labs.get_by_role("option").nth(1).click()
    expect(shown).to_contain_text(f"at most {most('red', layer, MEAN):.1%}")
    before = pixels(shown.locator("img").nth(1))
    choose(labs, "heat-head", "2")
    expect(shown).to_contain_text(f"at most {most('red', layer, 2):.1%}")
    assert (pixels(shown.locator("img").nth(1)) != before).any()
    set_slider(labs, "read-step", 1)
    looked = answer(attention_maps(pipe, made.trajectory, 1))[0]
    expect(shown).to_contain_text(f"at most {most('red', layer, 2):.1%}")

    said = caption(labs, "listening")
    expect(said).to_contain_text("gains most")  # of the generation it opens with
    opening = said.inner_text().splitlines()[0]
    labs.click("#listening-run")
    expect(said).not_to_contain_text(opening)
    shares = answer(shares_over_steps(pipe, made.trajectory, layer, 2))[0]
    pieces = [k for k, token in enumerate(looked.tokens) if token.kind == "piece"]
    rising = max(pieces, key=lambda k: shares[k, -1] - shares[k, 0])
    assert f"“{names[rising]}” gains most" in said.inner_text()
    assert number(said.inner_text(), "from ", "%") == pytest.approx(100 * shares[rising, 0], abs=0.11)
