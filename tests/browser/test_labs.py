"""Every lab opens, its main control moves, and the number that changes is the one ldm_core gives."""

from __future__ import annotations

import re

import pytest
import torch
from playwright.sync_api import Page, expect

from ldm_core.config import TINY
from ldm_core.diffusion.schedule import Schedule, make_beta_schedule
from ldm_core.models.latent_diffusion import LatentDiffusion
from tests.browser.driving import NUMBER, set_slider

pytestmark = pytest.mark.browser


def test_schedules(page: Page):
    page.get_by_role("tab", name="Schedules").click()
    caption = page.locator("#panel-curves .caption").first
    expect(caption).to_contain_text("at t = 400", timeout=60_000)
    expect(page.locator("#panel-curves .plot .main-svg").first).to_be_visible()
    set_slider(page, "curves-t", 700)
    expect(caption).to_contain_text("at t = 700")
    cosine = Schedule(make_beta_schedule("cosine", 1000)).alphas_cumprod[700]
    shown = re.search(rf"cosine ({NUMBER})", caption.inner_text())
    assert shown and float(shown[1]) == pytest.approx(cosine, rel=1e-3)
    trained = Schedule.from_config(TINY.schedule)
    expect(page.locator("#panel-noising .caption").first).to_contain_text(f"SNR {trained.snr[700]:.3g}")
    expect(page.locator("#noised img")).to_have_count(3)

    page.fill("#curves-linear_end input", "0.0001")
    page.press("#curves-linear_end input", "Tab")
    expect(page.locator("#panel-curves .panel-note").first).to_contain_text("must not be smaller than linear_start")


def test_a_link_opens_a_lab_with_its_values_in_chinese(page: Page):
    page.goto(page.url.split("?")[0] + "?lang=zh&lab=schedules&state=" + '{"S": 5, "t": 123, "v": 99}')
    expect(page.locator("#panel-curves .caption").first).to_contain_text("t = 123", timeout=60_000)
    expect(page.locator("#panel-steps .caption").first).to_contain_text("第一步")
    expect(page.locator("#steps-S input[type=number]")).to_have_value("5")
    expect(page.locator("#curves-v input[type=number]")).to_have_value("0")


def test_the_model_walks_other_schedules(page: Page):
    page.get_by_role("tab", name="Schedules").click()
    set_slider(page, "respaced-steps", 2)
    page.click("#respaced-run")
    expect(page.locator("#respaced img")).to_have_count(4, timeout=60_000)
    expect(page.locator("#panel-respaced .panel-note").first).to_contain_text("2 steps each")


def test_autoencoder(page: Page):
    page.get_by_role("tab", name="Autoencoder").click()
    expect(page.locator("#latent-channels img")).to_have_count(8)
    caption = page.locator("#panel-between .caption").first
    expect(caption).to_contain_text("50%")
    set_slider(page, "between-share", 0.25)
    expect(caption).to_contain_text("25%")


def test_architecture(page: Page):
    page.get_by_role("tab", name="Architecture").click()
    table = page.locator("#blocks-table table").first
    expect(table).to_contain_text("input_blocks.0")
    expect(page.locator("#blocks-drawing svg .name")).to_have_count(page.locator("#blocks-table tbody tr").count())
    expect(page.locator("#doors-table tr", has_text="crossattn (loaded)")).to_contain_text("attn2.to_k.weight")
    for part, root in (("encoder", "encoder"), ("decoder", "decoder")):
        page.locator("#blocks-part").get_by_label(part, exact=True).check()
        expect(table).to_contain_text(f"{'down' if part == 'encoder' else 'up'}.0")
        with torch.device("meta"):
            stage = getattr(LatentDiffusion(TINY).first_stage_model, root)
        shown = [cell.replace(",", "") for cell in page.locator("#blocks-table td:nth-child(4)").all_inner_texts()]
        assert sum(map(int, shown)) == sum(p.numel() for p in stage.parameters())
