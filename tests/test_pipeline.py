from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ldm_core.devices import OutOfMemory
from ldm_core.diffusion.samplers import SAMPLERS
from ldm_core.pipeline import Pipeline, finish
from ldm_core.runtime.base import relative_distance
from ldm_core.sampling import SamplingParams
from tests.tiny import tiny_model

LENGTH = 77


class Letters:
    """A tokenizer of one id a letter."""

    def clean(self, text: str) -> str:
        return text

    def encode(self, texts: Sequence[str]) -> Tensor:
        rows = [[49406, *map(ord, t)][: LENGTH - 1] for t in texts]
        return torch.tensor([row + [49407] * (LENGTH - len(row)) for row in rows])

    def spans(self, text: str) -> list[tuple[int, int]]:
        return [(k, k + 1) for k in range(len(text))]


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return Pipeline(tiny_model(), Letters())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def half() -> np.ndarray:
    mask = np.zeros((32, 32), np.uint8)
    mask[:, 12:] = 255
    return mask


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_a_seed_in_a_batch_is_the_seed_alone(pipe: Pipeline, sampler: str):
    together = finish(pipe.stream("a cat", steps=3, eta=0.5, seed=10, batch=3, sampler=sampler))
    alone = [finish(pipe.stream("a cat", steps=3, eta=0.5, seed=10 + k, sampler=sampler))[0] for k in range(3)]
    # the network's batched arithmetic may round differently; the randomness may not
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(together[0], together[1], atol=0.1)


def test_the_same_call_gives_the_same_bytes(pipe: Pipeline):
    first, again = (
        pipe.generate("a dog", negative_prompt="blurry", steps=4, eta=1.0, seed=3, batch=2) for _ in range(2)
    )
    assert first.shape == (2, 32, 32, 3)
    assert first.dtype == np.uint8
    assert first.tobytes() == again.tobytes()


def test_prompt_negative_prompt_and_scale_are_heard(pipe: Pipeline):
    def latent(**changes: object) -> Tensor:
        return finish(pipe.stream(replace(SamplingParams("a", steps=2), **changes)))  # type: ignore[arg-type]

    base = latent()
    assert not torch.equal(base, latent(prompt="b"))
    assert not torch.equal(base, latent(negative_prompt="c"))
    assert not torch.equal(base, latent(guidance_scale=2.0))
    assert torch.equal(latent(guidance_scale=1.0), latent(guidance_scale=1.0, negative_prompt="c"))


def test_steps_tell_where_they_are(pipe: Pipeline):
    steps = list(pipe.stream("a", steps=5, batch=2))
    assert [(s.i, s.n) for s in steps] == [(k, 5) for k in range(1, 6)]
    assert [s.t for s in steps] == [801, 601, 401, 201, 1]
    assert all(s.x.shape == s.eps.shape == s.x0.shape == (2, *pipe.config.latent_shape()) for s in steps)
    assert pipe.preview(steps[0].x0).shape == (2, 32, 32, 3)


def test_a_decode_that_gives_nan_is_repeated_in_fp32(pipe: Pipeline, monkeypatch: pytest.MonkeyPatch):
    half_precision = Pipeline(tiny_model().to(torch.bfloat16), pipe.tokenizer)
    decode, asked = half_precision.model.decode_first_stage, list[torch.dtype]()

    def overflowing(z: torch.Tensor) -> torch.Tensor:
        asked.append(z.dtype)
        return decode(z) * (float("nan") if z.dtype == torch.bfloat16 else 1.0)

    monkeypatch.setattr(half_precision.model, "decode_first_stage", overflowing)
    z = torch.randn(1, *pipe.config.latent_shape(), generator=torch.Generator().manual_seed(0))
    with pytest.warns(RuntimeWarning, match="bfloat16 gave NaN; decoded again in float32"):
        pixels = half_precision.decode(z)
    assert asked == [torch.bfloat16, torch.float32]
    assert np.abs(pixels.astype(int) - pipe.decode(z).astype(int)).mean() < 2  # the weights were rounded once
    assert next(half_precision.model.first_stage_model.parameters()).dtype == torch.bfloat16


def test_an_overflow_on_the_way_in_or_in_the_preview_is_repeated_in_fp32(
    pipe: Pipeline, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    model = tiny_model().to(torch.bfloat16)
    half_precision = Pipeline(model, pipe.tokenizer)
    stage = model.first_stage_model
    for part in (stage.encoder, stage.decoder):
        part.register_forward_hook(lambda _, __, y: y * (torch.nan if y.dtype == torch.bfloat16 else 1.0))
    assert relative_distance(half_precision.encode_image(picture), pipe.encode_image(picture)) < 0.05
    with pytest.warns(RuntimeWarning, match="decoded again in float32"):
        preview = half_precision.preview(torch.zeros(1, *pipe.config.latent_shape()))
    assert np.abs(preview.astype(int) - pipe.preview(torch.zeros(1, *pipe.config.latent_shape()))).max() < 10
    assert next(stage.parameters()).dtype == torch.bfloat16


def test_latents_of_nan_are_not_decoded_twice(pipe: Pipeline, recwarn: pytest.WarningsRecorder):
    half_precision = Pipeline(tiny_model().to(torch.bfloat16), pipe.tokenizer)
    with pytest.raises(ValueError, match="only NaN: the weights are damaged, or the guidance scale is too high"):
        half_precision.decode(torch.full((1, *pipe.config.latent_shape()), torch.nan))
    assert not recwarn.list


def test_a_picture_that_cannot_be_encoded(pipe: Pipeline, picture: np.ndarray):
    damaged = tiny_model()
    damaged.first_stage_model.encoder.conv_out.weight.data.fill_(torch.nan)
    with pytest.raises(ValueError, match="the picture could not be encoded, only NaN came out"):
        Pipeline(damaged, pipe.tokenizer).generate("a", steps=1, init_image=picture)


def test_memory_that_runs_out_in_the_second_decode_leaves_the_first_stage_as_it_was(
    pipe: Pipeline, monkeypatch: pytest.MonkeyPatch
):
    half_precision = Pipeline(tiny_model().to(torch.bfloat16), pipe.tokenizer)

    def starved(z: torch.Tensor) -> torch.Tensor:
        if z.dtype == torch.float32:
            raise MemoryError
        return torch.full((1, 3, 32, 32), float("nan"))

    monkeypatch.setattr(half_precision.model, "decode_first_stage", starved)
    with pytest.warns(RuntimeWarning, match="gave NaN"), pytest.raises(OutOfMemory, match="while decoding"):
        half_precision.decode(torch.zeros(1, *pipe.config.latent_shape()))
    assert next(half_precision.model.first_stage_model.parameters()).dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_stays_nan_is_no_black_picture(pipe: Pipeline, dtype: torch.dtype):
    damaged = tiny_model().to(dtype)
    damaged.first_stage_model.decoder.conv_out.weight.data.fill_(torch.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with pytest.raises(ValueError, match="only NaN: the weights are damaged"):
            Pipeline(damaged, pipe.tokenizer).generate("a", steps=1)


def test_other_sizes(pipe: Pipeline):
    assert pipe.generate("a", steps=1, height=48, width=64).shape == (1, 48, 64, 3)


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_a_mask_keeps_pixels_and_repaints_the_rest(pipe: Pipeline, picture: np.ndarray, half: np.ndarray, sampler: str):
    images = pipe.generate("a", steps=4, init_image=picture, mask=half, strength=1.0, sampler=sampler, batch=2)
    assert (images[:, :, :11] == picture[:, :11]).all(), "kept but for the seam, here one pixel"
    assert (images[:, :, 12:] != picture[:, 12:]).mean() > 0.5
    nothing = pipe.generate("a", steps=2, init_image=picture, mask=np.zeros_like(half), sampler=sampler)
    assert (nothing[0] == picture).all()


def test_strength_says_how_much_of_the_grid_is_walked(pipe: Pipeline, picture: np.ndarray):
    assert len(list(pipe.stream("a", steps=10, init_image=picture, strength=0.3))) == 3
    assert len(list(pipe.stream("a", steps=10, init_image=picture, strength=1.0))) == 10
    z = pipe.encode_image(picture)
    near, far = (finish(pipe.stream("a", steps=20, init_image=picture, strength=s))[0] for s in (0.05, 0.9))
    assert (near - z).square().mean() < (far - z).square().mean()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"steps": 1001}, "not 1001"),
        ({"eta": 1.5}, "eta"),
        ({"guidance_scale": float("nan")}, "guidance_scale"),
        ({"sampler": "dream"}, "sampler must be one of .*ddim"),
        ({"batch": 0}, "batch"),
        ({"seed": -1}, "seed must lie in 0…4294967295, not -1"),
        ({"seed": 2**32 - 1, "batch": 2}, "seed must lie in 0…4294967294, not 4294967295"),
        ({"strength": 0.0}, "strength"),
        ({"height": 33}, "height must be a multiple of 4 up to 65536, not 33"),
        ({"steps": 2.5}, "steps must be a whole number"),
        ({"sparkle": 3}, "unknown settings: sparkle"),
        ({"mask": np.zeros((32, 32), np.uint8)}, "init_image"),
        (
            {"init_image": np.zeros((32, 32, 3))},
            "must be an array uint8 .H,W,3., not float64 .32, 32, 3.",
        ),
        ({"init_image": np.zeros((32, 32, 4), np.uint8)}, "not uint8 .32, 32, 4."),
        ({"init_image": Image.new("RGB", (32, 32))}, "not Image"),
        ({"init_image": np.zeros((32, 64, 3), np.uint8), "width": 32}, "width is 32, that of init_image 64: scale"),
        ({"init_image": np.zeros((32, 64, 3), np.uint8), "height": 64}, "height is 64, that of init_image 32: scale"),
        ({"init_image": np.zeros((32, 32, 3), np.uint8), "mask": np.zeros((32, 32), bool)}, "not bool"),
        ({"init_image": np.zeros((32, 32, 3), np.uint8), "mask": np.zeros((32, 32, 1), np.uint8)}, "mask must be"),
        ({"init_image": np.zeros((32, 32, 3), np.uint8), "mask": np.zeros((16, 16), np.uint8)}, "mask"),
    ],
)
def test_bad_arguments_are_refused_before_any_work(pipe: Pipeline, wrong: dict[str, object], words: str):
    with pytest.raises(ValueError, match=words):
        pipe.stream("a", **wrong)  # type: ignore[arg-type]


def test_guidance_in_an_interval_alone(pipe: Pipeline):
    """The steps outside are those of scale 1; with the whole interval nothing changes."""
    asked: dict[str, Any] = {"steps": 4, "seed": 3, "guidance_scale": 4.0}
    full, plain = (list(pipe.stream("a", **{**asked, "guidance_scale": scale})) for scale in (4.0, 1.0))
    assert np.array_equal(pipe.generate("a", **asked), pipe.generate("a", **asked, guidance_interval=(0, 1)))
    early = list(pipe.stream("a", **asked, guidance_interval=(0.7, 1.0)))  # of t = 751, 501, 251, 1 the first
    torch.testing.assert_close(early[0].eps, full[0].eps)
    late = list(pipe.stream("a", **asked, guidance_interval=(0.0, 0.7)))
    torch.testing.assert_close(late[0].eps, plain[0].eps)
    assert not torch.allclose(late[1].eps, plain[1].eps)


@pytest.mark.parametrize("request_", [None, 5, b"a", ["a"], {"prompt": "a"}, "half a pair \ud83d"])
def test_a_request_that_is_no_prompt(pipe: Pipeline, request_: object):
    with pytest.raises(ValueError, match="prompt must be text"):
        pipe.generate(request_)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="prompt must be text"):
        pipe.encode_prompt(request_)  # type: ignore[arg-type]


@pytest.mark.parametrize("z", ["a", np.zeros((1, 4, 8, 8)), torch.zeros(1, 3, 8, 8), torch.zeros(4, 8, 8)])
def test_what_is_no_latent_is_not_decoded(pipe: Pipeline, z: object):
    with pytest.raises(ValueError, match=r"latents must be a tensor \[B,4,h,w\], not "):
        pipe.decode(z)  # type: ignore[arg-type]
