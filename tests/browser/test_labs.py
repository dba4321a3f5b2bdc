"""Every lab opens, its main control moves, and the number that changes is the one ldm_core gives."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from playwright.sync_api import Page, expect

from app.images import on_white
from app.labs.autoencoder.reconstruction import reconstruct
from app.labs.common.panels.pictures import SHIPPED
from ldm_core.diffusion.schedule import NoiseSchedule, make_beta_schedule
from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.pipeline import Pipeline
from ldm_core.presets import TINY
from tests.app.labs.studies import answer
from tests.browser.driving import NUMBER, caption, note, number, open_lab, set_number, set_slider

pytestmark = pytest.mark.browser
LANCZOS = Image.Resampling.LANCZOS


def test_schedules(labs: Page):
    labs.get_by_role("tab", name="Schedules").click()
    caption = labs.locator("#panel-curves .caption").first
    expect(caption).to_contain_text("at t = 400", timeout=60_000)
    expect(labs.locator("#panel-curves .plot .main-svg").first).to_be_visible()
    set_slider(labs, "curves-t", 700)
    expect(caption).to_contain_text("at t = 700")
    cosine = NoiseSchedule(make_beta_schedule("cosine", 1000)).alphas_cumprod[700]
    shown = re.search(rf"cosine ({NUMBER})", caption.inner_text())
    assert shown and float(shown[1]) == pytest.approx(cosine, rel=1e-3)
    trained = NoiseSchedule.from_config(TINY.schedule)
    expect(labs.locator("#panel-noising .caption").first).to_contain_text(f"SNR {trained.snr[700]:.3g}")
    expect(labs.locator("#noised img")).to_have_count(3)

    set_number(labs, "curves-linear_end", 0.0001)
    expect(note(labs, "curves")).to_contain_text("must not be smaller than linear_start")
    set_number(labs, "curves-T", 0)
    expect(note(labs, "curves")).to_have_text("T must be a whole number from 1 to 10000, not 0.")


def test_an_open_lab_is_drawn_again_in_another_language(labs: Page):
    labs.get_by_role("tab", name="Attention").click()
    expect(labs.locator("#read-film")).to_contain_text("step 1")
    labs.click("#language")
    expect(labs.locator("#read-film")).to_contain_text("步")
    expect(labs.locator("#read-film img")).not_to_have_count(0)
    expect(labs.locator("#heat-shown img")).not_to_have_count(0)
    labs.click("#language")
    expect(labs.locator("#read-film")).to_contain_text("step 1")
    open_lab(labs, "lower_bound")  # one that was not shown then
    expect(caption(labs, "weights")).to_contain_text("at t = 400")


def test_a_link_opens_a_lab_with_its_values_in_chinese(page: Page):
    page.goto(page.url.split("?")[0] + "?lang=zh&lab=schedules&state=" + '{"S": 5, "t": 123, "v": 99}')
    expect(page.locator("#panel-curves .caption").first).to_contain_text("t = 123", timeout=60_000)
    expect(page.locator("#panel-steps .caption").first).to_contain_text("第一步")
    expect(page.locator("#steps-S input[type=number]")).to_have_value("5")
    expect(page.locator("#curves-v input[type=number]")).to_have_value("0")


def test_the_model_walks_other_schedules(labs: Page):
    labs.get_by_role("tab", name="Schedules").click()
    set_slider(labs, "respaced-respaced_steps", 2)
    labs.click("#respaced-run")
    expect(labs.locator("#respaced img")).to_have_count(4, timeout=60_000)
    expect(labs.locator("#panel-respaced .panel-note").first).to_contain_text("Steps of each: 2")


def test_autoencoder(labs: Page, pipe: Pipeline, tmp_path: Path):
    labs.get_by_role("tab", name="Autoencoder").click()
    expect(labs.locator("#latent-channels img")).to_have_count(8)
    said = labs.locator("#panel-reconstruction .caption").first
    expect(said).to_contain_text("PSNR")
    mode = said.inner_text()
    set_slider(labs, "reconstruction-posterior_noise", 5)
    expect(said).not_to_have_text(mode)
    with Image.open(SHIPPED) as image:
        side = pipe.config.image_size
        made, _ = answer(reconstruct(pipe, np.asarray(ImageOps.fit(on_white(image), (side, side), LANCZOS)), 5.0, 0))
    for name, value in (("PSNR", made.psnr), ("SSIM", made.ssim), ("LPIPS", made.lpips)):
        assert number(said.inner_text(), f"{name} ") == pytest.approx(value, rel=0.02)
    large = tmp_path / "large.png"
    Image.new("1", (20_000, 10_000)).save(large)  # 25 kB
    labs.set_input_files("#reconstruction-picture input[type=file]", large)
    expect(note(labs, "reconstruction")).to_have_text(
        "The picture has too many pixels; at most 50 megapixels are allowed."
    )
    caption = labs.locator("#panel-between .caption").first
    expect(caption).to_contain_text("50%")
    set_slider(labs, "between-share", 0.25)
    expect(caption).to_contain_text("25%")


def test_architecture(labs: Page):
    labs.get_by_role("tab", name="Architecture").click()
    table = labs.locator("#blocks-table table").first
    expect(table).to_contain_text("input_blocks.0")
    expect(labs.locator("#blocks-drawing svg .name")).to_have_count(labs.locator("#blocks-table tbody tr").count())
    expect(labs.locator("#doors-table tr", has_text="crossattn (loaded)")).to_contain_text("attn2.to_k.weight")
    for part, root in (("encoder", "encoder"), ("decoder", "decoder")):
        labs.locator("#blocks-part").get_by_label(part, exact=True).check()
        expect(table).to_contain_text(f"{'down' if part == 'encoder' else 'up'}.0")
        with torch.device("meta"):
            stage = getattr(LatentDiffusion(TINY).first_stage_model, root)
        shown = [cell.replace(",", "") for cell in labs.locator("#blocks-table td:nth-child(4)").all_inner_texts()]
        assert sum(map(int, shown)) == sum(p.numel() for p in stage.parameters())
