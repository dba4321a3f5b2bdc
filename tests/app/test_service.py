"""The service on a real, small model: files that know their seeds, bounded folders, clear refusals."""

from __future__ import annotations

import asyncio
import os
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from app.engine import Done, Failed, Job, Requester, Stepped, follow
from app.keeping import FolderKeeper
from app.metadata import read_png
from app.models.folder import ModelFile, NotReady
from app.schemas import GenerateResult, RequestError, read_params
from app.service import Service
from app.settings import Settings
from ldm_core.sampling import SamplingParams
from tests.app.serving import until
from tests.tiny import tiny_checkpoint

PIXELS = np.zeros((8, 8, 3), np.uint8)


class Bomb:
    """A pickle that makes a file where it is opened carelessly."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("a-pickle-has-run",)


def started(settings: Settings) -> Service:
    service = Service(settings)
    service.start()
    until(lambda: service.state.phase in ("ready", "failed"), 300)
    return service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = started(Settings(weights=tiny_checkpoint(tmp_path_factory.mktemp("w")), device="cpu", keep_pictures=4))
    assert service.state.phase == "ready", service.state.message
    yield service
    service.close()


def wait(job: Job) -> list[object]:
    async def read() -> list[object]:
        return [event async for _, event in follow(job)]

    return asyncio.run(asyncio.wait_for(read(), 120))


def result(job: Job) -> GenerateResult:
    end = wait(job)[-1]
    assert isinstance(end, Done), end
    return end.result


def test_a_batch_is_the_pictures_of_seeds_in_a_row(service: Service) -> None:
    request = SamplingParams("a red apple", steps=2, eta=1.0, seed=7, batch=2)
    job = service.submit(request)
    batch = result(job)
    assert [image.seed for image in batch.images] == [7, 8]
    steps = [event for event in job.events if isinstance(event, Stepped)]
    assert [event.i for event in steps] == [1, 2]
    for image in batch.images:
        made, about = read_png(image.path)
        assert (made.seed, made.batch) == (image.seed, 1)
        assert service.pipe is not None
        assert about["weights_sha256"] == service.pipe.weights_sha256
        alone = result(service.submit(made))
        with Image.open(image.path) as a, Image.open(alone.images[0].path) as b:
            difference = np.abs(np.asarray(a, np.float32) - np.asarray(b, np.float32)).mean()
        assert difference < 1


def test_a_seed_drawn_at_submission_is_told(service: Service) -> None:
    made = result(service.submit(SamplingParams("x", steps=1)))
    assert 0 <= made.request.seed < 2**32
    assert made.images[0].seed == made.request.seed


def test_progress_never_goes_backwards(service: Service) -> None:
    """Also where a sampler asks twice in a step."""
    for sampler in service.limits.samplers:
        job = service.submit(SamplingParams("x", steps=4, seed=1, sampler=sampler))
        result(job)
        told = [event.i for event in job.events if isinstance(event, Stepped)]
        assert told == sorted(told) and set(told) == {1, 2, 3, 4}, sampler
        assert [event.n for event in job.events if isinstance(event, Stepped)] == [4] * len(told)


def test_a_full_memory_fails_one_job(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a device says when it is full reaches the page as one sentence; the worker goes on."""
    pipe = service.pipe
    assert pipe is not None
    with monkeypatch.context() as patch:
        patch.setattr(pipe, "denoise", Mock(side_effect=RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")))
        end = wait(service.submit(SamplingParams("x", steps=1)))[-1]
    assert isinstance(end, Failed)
    assert str(end.message) == "Out of memory; try a smaller size or fewer images at once."
    assert result(service.submit(SamplingParams("x", steps=1))).images


@pytest.fixture
def previews(service: Service, monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Counts how often the model is asked for a preview."""
    assert service.pipe is not None
    counted = Mock(wraps=service.pipe.preview)
    monkeypatch.setattr(service.pipe, "preview", counted)
    return counted


def test_previews_come_at_most_four_times_a_second(service: Service, previews: Mock) -> None:
    job = service.submit(SamplingParams("x", steps=40))
    start = time.monotonic()
    result(job)
    took = time.monotonic() - start
    assert 1 <= previews.call_count <= 1 + took / 0.25  # the first always; after the last comes the picture
    left = [event.i for event in job.events if isinstance(event, Stepped) and event.preview is not None]
    assert len(left) == 1, "an ended job keeps the last alone"


@pytest.mark.parametrize("sampler", ["plms", "heun"])
def test_a_second_question_in_a_step_brings_no_preview_of_its_own(
    service: Service, previews: Mock, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engine.progress.PREVIEW_SECONDS", 60.0)
    result(service.submit(SamplingParams("x", steps=3, sampler=sampler)))
    assert previews.call_count == 1


def test_tokens_are_those_of_the_prompt_without_its_weights(service: Service) -> None:
    assert service.pipe is not None and service.pipe.tokenizer is not None
    assert service.count_tokens("a (red:1.3) [apple]") == service.pipe.tokenizer.count("a red apple")


@pytest.mark.parametrize("prompts", [("(apple:200)", ""), ("an apple", "(apple:200)")])
def test_a_weight_beyond_all_reason_is_refused_in_the_page_s_language(service: Service, prompts: tuple[str, str]):
    prompt, negative = prompts
    with pytest.raises(RequestError, match=r"^A prompt weight must lie between -100 and 100, not 200\.$") as caught:
        service.submit(read_params({"prompt": prompt, "negative_prompt": negative}))
    assert caught.value.sentence.says("zh") == "提示词权重必须在 -100 到 100 之间，不能是 200。"


def test_a_temporary_folder_is_bounded(service: Service) -> None:
    for seed in range(6):
        last = result(service.submit(SamplingParams("x", steps=1, seed=seed)))
    left = sorted(service.outputs.iterdir())
    assert len(left) == 4
    assert last.images[0].path in left


def test_in_a_folder_that_was_asked_for_all_stay_and_the_newest_have_owners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.keeping.MOST_OWNERS", 2)
    keeper = FolderKeeper(Settings(output_dir=tmp_path), lambda _: ModelFile("tiny", tmp_path))
    jobs = [Job(SamplingParams("x", seed=k), requester=Requester("me")) for k in range(4)]
    made = [keeper.save(job, [PIXELS], 0.0, 1) for job in jobs]
    names = [result.images[0].path.name for result in made]
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    assert [keeper.owner(name) for name in names] == [None, None, "me", "me"]


def test_a_mask_keeps_what_it_leaves_white_out(service: Service) -> None:
    side = service.limits.image_size
    picture = np.full((side, side, 3), (200, 40, 90), np.uint8)
    mask = np.zeros((side, side), np.uint8)
    mask[:, : side // 2] = 255
    made = result(service.submit(SamplingParams("x", steps=2, seed=1), picture, mask))
    with Image.open(made.images[0].path) as image:
        pixels = np.asarray(image)
    assert (pixels[:, side * 3 // 4 :] == picture[:, side * 3 // 4 :]).all()
    assert not (pixels[:, : side // 4] == picture[:, : side // 4]).all()


def test_what_the_pipeline_refuses_fails_alone(service: Service) -> None:
    job = service.submit(SamplingParams("x", steps=1), mask=np.zeros((8, 8), np.uint8))  # a mask without a picture
    assert isinstance(wait(job)[-1], Failed)
    assert result(service.submit(SamplingParams("x", steps=1))).images


def test_stop_frees_the_worker(service: Service) -> None:
    job = service.submit(SamplingParams("x", steps=1000))
    until(lambda: job.last(Stepped))
    assert service.cancel(job.id)
    assert result(service.submit(SamplingParams("x", steps=1))).images


@pytest.mark.parametrize("content", [b"this is no model", b"\x40" + b"\0" * 7 + b"{", pickle.dumps(Bomb()), None])
def test_weights_that_are_none_are_one_sentence(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.safetensors"
    if content is not None:
        path.write_bytes(content)
    service = started(Settings(weights=path, device="cpu"))
    try:
        assert service.state.phase == "failed"
        message = str(service.state.message)
        assert "broken.safetensors" in message
        assert not Path("a-pickle-has-run").exists()
        assert "\n" not in message
        with pytest.raises(NotReady, match="could not be loaded"):
            service.submit(SamplingParams("x"))
    finally:
        service.close()
    assert not service.outputs.exists()


def test_a_loading_model_refuses_politely() -> None:
    service = Service(Settings())
    with pytest.raises(RequestError, match="still loading"):
        service.submit(SamplingParams("x"))
    service.close()


def test_pictures_of_a_job_have_files_of_their_own(service: Service) -> None:
    for strength in (0.0, 0.5):
        made = result(
            service.submit(SamplingParams("x", steps=1, batch=3, variation_seed=0, variation_strength=strength))
        )
        assert len({image.path for image in made.images}) == 3
