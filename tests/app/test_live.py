"""Sketches: the picture the library makes of the same few steps, one a page, and none where others wait."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app import live as module
from app.engine import Cancelled, Done, Requester
from app.live import SAMPLER, STEPS, Live, LiveOff
from app.schemas import RequestError
from app.service import Service
from app.settings import Settings
from ldm_core import load
from ldm_core.sampling import SamplingParams
from tests.app.test_service import started
from tests.tiny import tiny_checkpoint


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("live")
    settings = Settings(weights=tiny_checkpoint(folder), device="cpu", runtime="torch", output_dir=folder / "out")
    service = started(settings)
    yield service
    service.close()


@pytest.fixture
def live(service: Service, monkeypatch: pytest.MonkeyPatch) -> Live:
    monkeypatch.setattr(module, "LIMIT_SECONDS", 60.0)  # the machine of the tests may be busy
    return Live(service)


def test_a_sketch_is_the_library_s_picture_and_leaves_no_file(service: Service, live: Live):
    end = live.start(SamplingParams("a tree", seed=11, steps=90, batch=4, eta=1.0), Requester("me"), "page").wait()
    assert isinstance(end, Done) and service.pipe is not None
    expected = service.pipe.generate("a tree", steps=STEPS, sampler=SAMPLER, seed=11)[0]
    assert np.abs(end.result.pixels.astype(int) - expected.astype(int)).max() <= 1
    assert list(Path(service.outputs).iterdir()) == []
    assert live.slow is False


def test_a_page_has_one_sketch_and_another_page_its_own(service: Service, live: Live):
    unseen = Requester("me", previews=False)
    slow = service.submit(SamplingParams("first", steps=300), requester=unseen)  # keeps the engine busy
    first, other = (
        live.start(SamplingParams("one", seed=1), Requester("me"), "a"),
        live.start(SamplingParams("x", seed=1), Requester("me"), "b"),
    )
    second = live.start(SamplingParams("two", seed=1), Requester("me"), "a")
    assert isinstance(first.wait(), Cancelled)
    assert isinstance(other.wait(), Done) and isinstance(second.wait(), Done)
    service.cancel(slow.id, "me")
    slow.wait()


def test_live_is_off_while_others_wait_for_pictures(service: Service, live: Live):
    theirs = service.submit(SamplingParams("theirs", steps=300), requester=Requester("them"))
    with pytest.raises(LiveOff, match="busy"):
        live.start(SamplingParams("mine", seed=1), Requester("me"), "page")
    service.cancel(theirs.id, "them")
    theirs.wait()
    assert isinstance(live.start(SamplingParams("mine", seed=1), Requester("me"), "page").wait(), Done)


def test_live_is_off_where_a_picture_takes_too_long_and_is_tried_again(live: Live, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "LIMIT_SECONDS", 0.0)
    end = live.start(SamplingParams("a", seed=1), Requester("me"), "page").wait()
    assert isinstance(end, Done) and end.result is None and live.slow
    with pytest.raises(LiveOff, match="too long"):
        live.start(SamplingParams("a", seed=1), Requester("me"), "page")
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    assert live.slow and live.untried
    assert isinstance(live.start(SamplingParams("a", seed=1), Requester("me"), "page").wait(), Done)


def test_what_cannot_be_is_refused(live: Live):
    with pytest.raises(RequestError, match="type a prompt"):
        live.start(SamplingParams(" ", seed=1), Requester("me"), "page")


def test_a_sketch_is_of_the_chosen_model_which_must_be_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "LIMIT_SECONDS", 60.0)
    (tmp_path / "models").mkdir()
    other = tiny_checkpoint(tmp_path / "models", seed=1, name="other.safetensors")
    weights = tiny_checkpoint(tmp_path)
    service = started(Settings(weights=weights, models=tmp_path / "models", device="cpu", runtime="torch"))
    try:
        while not service.models.scanned:
            time.sleep(0.05)
        live, asked = Live(service), SamplingParams("a tree", seed=11)
        with pytest.raises(LiveOff, match="in memory"):
            live.start(asked, Requester("me"), "page", "other")
        assert service.pool.loaded == [], "the next word would have it given up"
        service.submit(replace(asked, steps=1), model="other", requester=Requester("me")).wait()
        end = live.start(asked, Requester("me"), "page", "other").wait()
        assert isinstance(end, Done) and live.slow is None, "the page's own model was not asked"
        expected = load(other, device="cpu", runtime="torch").generate("a tree", steps=STEPS, sampler=SAMPLER, seed=11)
        assert np.abs(end.result.pixels.astype(int) - expected[0].astype(int)).max() <= 1
        with pytest.raises(RequestError, match="no model"):
            live.start(asked, Requester("me"), "page", "gone")
    finally:
        service.close()
