"""The engine on a real, small model in fp32: the same seed is the same picture, empty or crowded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.engine import Done, Engine, Job, Requester
from app.engine.model import PipelineModel
from ldm_core.pipeline import Pipeline
from ldm_core.sampling import SamplingParams
from tests.app.engine.fake import Alone, FakeKeeper
from tests.tiny import tiny_pipeline

WANTED = [
    SamplingParams("a red apple", steps=6, eta=1.0, seed=7),
    SamplingParams("a (green:1.2) pear", negative_prompt="red", steps=9, sampler="heun", seed=3, guidance_scale=2.0),
    SamplingParams("a dog", steps=4, sampler="plms", seed=11, guidance_scale=1.0),
    SamplingParams("a cat", steps=12, sampler="dpmpp_2m_sde", seed=5, batch=3),
    SamplingParams("a house", steps=5, sampler="unipc", seed=2, width=64, height=32),
]


def save(job: Job, pictures: list[Any], seconds: float, steps: int) -> Any:
    return np.stack(pictures)


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return tiny_pipeline()


def pictures(pipe: Pipeline, strict: bool, together: bool, previews: bool) -> list[np.ndarray]:
    engine = Engine(FakeKeeper(save), strict=strict)
    jobs = [Job(request, requester=Requester(str(k), previews=previews)) for k, request in enumerate(WANTED)]
    if together:
        for job in jobs:
            engine.submit(job)
        engine.start(Alone(PipelineModel(pipe)))
        ends = [job.wait() for job in jobs]
    else:
        engine.start(Alone(PipelineModel(pipe)))
        ends = [engine.submit(job).wait() for job in jobs]
    engine.close()
    assert all(isinstance(end, Done) for end in ends), ends
    return [end.result for end in ends]


@pytest.mark.parametrize(("strict", "most"), [(False, 1), (True, 0)])
def test_a_seed_s_picture_is_the_same_in_a_crowd(pipe: Pipeline, strict: bool, most: int) -> None:
    alone = pictures(pipe, strict, together=False, previews=False)
    crowded = pictures(pipe, strict, together=True, previews=True)
    for request, a, b in zip(WANTED, alone, crowded, strict=True):
        assert np.abs(a.astype(int) - b).max() <= most, request


def test_the_engine_s_picture_is_the_library_s(pipe: Pipeline) -> None:
    engine_s = pictures(pipe, strict=True, together=True, previews=False)
    for r, made in zip(WANTED, engine_s, strict=True):
        library_s = pipe.generate(r)
        assert np.abs(library_s.astype(int) - made).max() <= 1, r


def test_pictures_and_masks_go_the_same_way(pipe: Pipeline) -> None:
    init = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    mask = np.zeros((32, 32), np.uint8)
    mask[:, :16] = 255
    engine = Engine(FakeKeeper(save), strict=True)
    engine.start(Alone(PipelineModel(pipe)))
    for sampler in ("ddim", "euler"):
        request = SamplingParams("x", steps=6, sampler=sampler, seed=1, strength=0.5)
        end = engine.submit(Job(request, init_image=init, mask=mask)).wait()
        assert isinstance(end, Done)
        library_s = pipe.generate(
            "x", steps=6, sampler=sampler, seed=1, init_image=init, mask=mask, strength=0.5, guidance_scale=5.0
        )
        assert np.abs(library_s.astype(int) - end.result).max() <= 1
        assert (end.result[0][:, 17:] == init[:, 17:]).all()  # kept but for the seam
    engine.close()
