"""The weights in the repository, not a stand-in: what they draw follows the prompt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import ldm_core
from ldm_core.checkpoint import inspect_file
from ldm_core.images import Pixels
from ldm_core.pipeline import Pipeline

WEIGHTS = Path(__file__).parents[2] / "weights" / "emoji-128.safetensors"


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return ldm_core.load(WEIGHTS, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def apple(pipe: Pipeline) -> Pixels:
    return pipe.generate("a red apple, noto style", seed=7)[0]


@pytest.fixture(scope="module")
def face(pipe: Pipeline) -> Pixels:
    return pipe.generate("grinning face, noto style", seed=7)[0]


def drawn(image: Pixels) -> NDArray[np.float64]:
    """Mean colour of the pixels that are not background (white)."""
    ink = image.min(axis=-1) < 200
    assert ink.mean() > 0.05, "nothing was drawn"
    return np.asarray(image[ink].mean(axis=0))


def test_file_is_small_and_whole() -> None:
    assert WEIGHTS.stat().st_size <= 48_000_000
    inspection = inspect_file(WEIGHTS)
    assert inspection.loads


def test_red_apple_is_mostly_red(apple: Pixels) -> None:
    red, green, blue = drawn(apple)
    assert red > green + 40
    assert red > blue + 40


def test_another_prompt_is_another_picture(apple: Pixels, face: Pixels) -> None:
    assert np.abs(apple.astype(int) - face).mean() > 15


def test_a_face_is_yellow(face: Pixels) -> None:
    red, green, blue = drawn(face)
    assert red > blue + 60
    assert green > blue + 30


def test_eta_matters_and_a_seed_repeats(pipe: Pipeline) -> None:
    still = pipe.generate("a red apple, noto style", seed=7, steps=10)
    again = pipe.generate("a red apple, noto style", seed=7, steps=10)
    noisy = pipe.generate("a red apple, noto style", seed=7, steps=10, eta=1.0)
    assert still.tobytes() == again.tobytes()
    assert np.abs(still.astype(int) - noisy).mean() > 2


def test_a_seed_is_the_same_alone_and_in_a_batch(pipe: Pipeline) -> None:
    batch = pipe.generate("a red apple, noto style", seed=7, steps=10, batch=4)
    alone = pipe.generate("a red apple, noto style", seed=9, steps=10)
    assert np.abs(batch[2].astype(int) - alone[0]).mean() < 1
