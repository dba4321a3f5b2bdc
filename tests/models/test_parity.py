"""With the same weights, UNet, autoencoder and text encoder compute what diffusers and transformers compute."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from ldm_core.config import ModelConfig
from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.presets import SD_V1, TINY
from tests.models.peers import Peers, hush, peers_of, relative
from tests.tiny import tiny_model

TOLERANCE = 2e-4
Pair = tuple[LatentDiffusion, Peers]


@pytest.fixture(
    scope="module", params=[pytest.param(TINY, id="tiny"), pytest.param(SD_V1, id="sd-v1", marks=pytest.mark.slow)]
)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    model = tiny_model(request.param).requires_grad_(False)
    yield model, peers_of(model)


def pixels(config: ModelConfig) -> int:
    """SD v1 at 256 px: a quarter of the work of its own size, through the same layers."""
    return min(config.image_size, 256)


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_unet(pair: Pair) -> None:
    model, peers = pair
    side = pixels(model.config) // model.config.first_stage.downsampling
    t = torch.tensor([951, 1] if model.config == TINY else [951])
    x, context = noise(len(t), 4, side, side), noise(len(t), 77, model.config.unet.context_dim or 0, seed=2)
    error = relative(model.apply_model(x, t, context), peers.unet(x, t, context).sample)
    assert error < TOLERANCE


@torch.no_grad()
def test_encoder(pair: Pair) -> None:
    model, peers = pair
    image = noise(1, 3, pixels(model.config), pixels(model.config)).clamp(-1, 1)
    ours, theirs = model.encode_first_stage(image), peers.vae.encode(image).latent_dist
    error = max(relative(ours.mean, theirs.mean), relative(ours.logvar, theirs.logvar))
    assert error < TOLERANCE


@torch.no_grad()
def test_decoder(pair: Pair) -> None:
    model, peers = pair
    side = pixels(model.config) // model.config.first_stage.downsampling
    z = noise(1, 4, side, side)
    error = relative(model.decode_first_stage(z), peers.vae.decode(z / 0.18215).sample)
    assert error < TOLERANCE


@torch.no_grad()
def test_text_encoder(pair: Pair) -> None:
    model, peers = pair
    ids = torch.randint(0, 49406, (2, 77), generator=torch.Generator().manual_seed(3))
    ids[:, 0], ids[0, 9:], ids[1, 76:] = 49406, 49407, 49407
    error = relative(model.cond_stage_model(ids), peers.text(ids).last_hidden_state)
    assert error < TOLERANCE


def quiet() -> Pair:
    model = tiny_model(TINY)
    hush(model.model, 0.02)
    hush(model.first_stage_model, 0.02)
    return model.requires_grad_(False), peers_of(model)


def set_eps(module: nn.Module, eps: float) -> None:
    for part in module.modules():
        if isinstance(part, nn.GroupNorm):
            part.eps = eps


@torch.no_grad()
def test_the_norms_epsilons_where_they_show() -> None:
    """With loud activations 1e-5 and 1e-6 look alike; with whispering ones they do not."""
    model, peers = quiet()
    x, t, context = noise(1, 4, 16, 16), torch.tensor([500]), noise(1, 77, 32)
    image = noise(1, 3, 32, 32).clamp(-1, 1)

    def errors() -> list[float]:
        return [
            relative(model.apply_model(x, t, context), peers.unet(x, t, context).sample),
            relative(model.encode_first_stage(image).mean, peers.vae.encode(image).latent_dist.mean),
            relative(model.first_stage_model.decode(x), peers.vae.decode(x).sample),
        ]

    assert max(errors()) < TOLERANCE
    set_eps(model.first_stage_model, 1e-5)
    for eps in (1e-5, 1e-6):
        set_eps(model.model, eps)
        assert min(errors()) > 10 * TOLERANCE, "the test would not notice a wrong epsilon"
