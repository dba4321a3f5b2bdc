"""Whole pictures: the same weights, prompt and seed here and in diffusers' own pipeline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

import ldm_core
from ldm_core.checkpoint import convert
from ldm_core.pipeline import Pipeline, finish
from ldm_core.presets import TINY
from tests.tiny import tiny_checkpoint

PROMPT, NEGATIVE = "a red apple, noto style", "blue"
Pair = tuple[Pipeline, StableDiffusionPipeline]


@pytest.fixture(scope="module", params=["eps", "v", "x0"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("weights")
    path = tiny_checkpoint(folder, replace(TINY, parameterization=request.param))
    peer = StableDiffusionPipeline.from_pretrained(convert(path, folder / "tiny", "diffusers"))
    assert isinstance(peer.scheduler, DDIMScheduler)
    peer.set_progress_bar_config(disable=True)
    return ldm_core.load(path, device="cpu", dtype="float32"), peer


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("steps", [20, 5])
@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_the_same_seed_is_the_same_picture(pair: Pair, eta: float, steps: int, guidance: float) -> None:
    """eta 1 takes diffusers' noise from the same generator: first the start, then one draw per step, as here."""
    ours, theirs = pair
    options = {"guidance_scale": guidance, "eta": eta}
    generator = torch.Generator().manual_seed(11)
    peer = theirs(PROMPT, 32, 32, steps, negative_prompt=NEGATIVE, generator=generator, output_type="np", **options)
    image = ours.generate(PROMPT, negative_prompt=NEGATIVE, steps=steps, eta=eta, guidance_scale=guidance, seed=11)
    assert np.abs(image / 255.0 - peer.images).mean() < 1 / 255
    assert image.std() > 8, "a flat picture would prove nothing"


def test_latents_agree_much_closer_than_pictures_need(pair: Pair) -> None:
    ours, theirs = pair
    generator = torch.Generator().manual_seed(3)
    peer = theirs(PROMPT, 32, 32, 20, guidance_scale=5.0, generator=generator, output_type="latent").images
    z = finish(ours.stream(PROMPT, steps=20, guidance_scale=5.0, seed=3))
    assert ((z - peer).abs().max() / peer.abs().max()).item() < 2e-4


def test_the_converted_single_file_makes_the_same_picture(tmp_path: Path) -> None:
    path = tiny_checkpoint(tmp_path, replace(TINY, parameterization="v"))
    folder = convert(path, tmp_path / "folder", "diffusers")
    single = convert(folder, tmp_path / "single.safetensors")
    image = ldm_core.load(path, device="cpu", dtype="float32").generate(PROMPT, steps=10, seed=5)
    for peer in (
        StableDiffusionPipeline.from_single_file(str(single), config=str(folder)),
        StableDiffusionPipeline.from_pretrained(folder),
    ):
        peer.set_progress_bar_config(disable=True)
        generator = torch.Generator().manual_seed(5)
        theirs = peer(PROMPT, 32, 32, 10, guidance_scale=5.0, generator=generator, output_type="np").images
        assert np.abs(image / 255.0 - theirs).mean() < 1 / 255
