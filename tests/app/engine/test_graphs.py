"""While torch answers the service makes OpenVINO's graphs; the next picture is OpenVINO's, and none is lost."""

from __future__ import annotations

import json
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image

from app.engine import Done, Engine, Job, Requester
from app.engine.graphs import GraphMaker
from app.engine.model import PipelineModel
from app.service import Service
from app.settings import Settings
from ldm_core.pipeline import load
from ldm_core.runtime.base import RuntimeFailed
from ldm_core.runtime.openvino import OpenVINORuntime
from ldm_core.sampling import SamplingParams
from tests.app.engine.fake import Alone, FakeKeeper
from tests.app.serving import until
from tests.tiny import tiny_checkpoint

pytest.importorskip("openvino")
PARAMS = SamplingParams("a red apple", steps=4, seed=7, batch=2)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def services(graphs: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Service]]:
    """Starts services on the cache `graphs`, and closes them."""
    monkeypatch.setenv("LATENT_LAB_CACHE", str(graphs))
    started: list[Service] = []

    def start(**settings: str) -> Service:
        service = Service(Settings(weights=weights, device="cpu", dtype="float32", **settings))  # type: ignore[arg-type]
        started.append(service)
        service.start()
        until(lambda: service.state.phase in ("ready", "failed"), 300)
        assert service.state.phase == "ready", service.state
        return service

    yield start
    for service in started:
        service.close()


def runtimes(job: Job) -> set[str]:
    end = job.wait()
    assert isinstance(end, Done), end
    return {json.loads(Image.open(image.path).text["latent-lab"])["runtime"] for image in end.result.images}  # type: ignore[attr-defined]


def test_torch_answers_then_openvino(services: Callable[..., Service], graphs: Path):
    service = services()
    assert service.state.runtime == "torch" and service.pipe is not None
    torchs = weakref.ref(service.pipe.model)
    assert runtimes(service.submit(PARAMS)) == {"torch"}
    until(lambda: service.state.runtime == "openvino", 300)
    assert runtimes(service.submit(PARAMS)) == {"openvino"}
    until(lambda: torchs() is None, 10)
    service.close()
    again = services()
    assert again.state.runtime == "openvino", "the graphs are in the cache now"
    assert again.pipe is not None and again.pipe._reloadable._model is None, "the start has no use for torch's modules"
    assert runtimes(again.submit(PARAMS)) == {"openvino"}


def test_torch_by_order_makes_no_graphs(
    services: Callable[..., Service], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LATENT_LAB_CACHE", str(tmp_path / "empty"))
    service = services(runtime="torch")
    assert runtimes(service.submit(PARAMS)) == {"torch"}
    assert not (tmp_path / "empty").exists()


def test_closing_ends_the_process_that_makes_graphs(
    services: Callable[..., Service], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LATENT_LAB_CACHE", str(tmp_path))
    service = services()
    assert service.loader._own is not None
    graphs = service.loader._own.graphs
    assert graphs is not None and graphs._process is not None
    service.close()
    assert graphs._process.poll() is not None
    assert service.state.runtime == "torch"


def test_a_model_that_leaves_meanwhile_gets_no_graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Compiling them would hold its memory on; and whoever has closed it waits for no more than a moment."""
    finished, maker, made = threading.Event(), GraphMaker(), []
    monkeypatch.setenv("LATENT_LAB_CACHE", str(tmp_path))
    monkeypatch.setattr("app.engine.graphs.convert.start", lambda weights, root: Mock())
    monkeypatch.setattr("app.engine.graphs.convert.finish", lambda process: finished.wait(60))
    monkeypatch.setattr("app.engine.graphs.openvino", lambda *_, **__: made.append("compiled"))
    maker.start(Mock(), Mock(**{"openvino_unsupported_reason.return_value": None}), made.append)
    start = time.monotonic()
    maker.close()
    assert time.monotonic() - start < 5
    finished.set()
    assert maker._thread is not None
    maker._thread.join(60)
    assert made == []


def save(job: Job, pictures: list[np.ndarray], seconds: float, steps: int) -> np.ndarray:
    return np.stack(pictures)


def pictures(model: PipelineModel) -> np.ndarray:
    engine = Engine(FakeKeeper(save))
    job = Job(PARAMS, requester=Requester(previews=False))
    engine.submit(job)
    engine.start(Alone(model))
    end = job.wait()
    engine.close()
    assert isinstance(end, Done), end
    return end.result


@pytest.mark.parametrize("broken", ["unet", "decode", "encode_text"])
def test_runtime_that_breaks_in_a_picture_still_gives_it(
    graphs: Path, weights: Path, broken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("LATENT_LAB_CACHE", str(graphs))
    expected = pictures(PipelineModel(load(weights, "cpu", "float32", "torch")))
    real, calls, at = getattr(OpenVINORuntime, broken), [], {"unet": 3}.get(broken, 1)

    def breaks(self: OpenVINORuntime, *arguments: torch.Tensor) -> torch.Tensor:
        calls.append(arguments)
        if armed and len(calls) >= at:
            raise RuntimeFailed("OpenVINO broke")
        return real(self, *arguments)

    armed = False
    monkeypatch.setattr(OpenVINORuntime, broken, breaks)
    pipe, told = load(weights, "cpu", "float32", "openvino"), []
    armed = True
    calls.clear()
    model = PipelineModel(pipe, told.append)
    np.testing.assert_array_equal(pictures(model), expected)
    assert [changed.runtime for changed in told] == ["torch"] and model.pipe.runtime == "torch"
    assert [r.message for r in caplog.records] == ["OpenVINO broke; torch makes the pictures from now on"]


def test_picture_under_way_keeps_its_runtime(graphs: Path, weights: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LATENT_LAB_CACHE", str(graphs))
    torchs, openvinos = (load(weights, "cpu", "float32", name) for name in ("torch", "openvino"))
    model = PipelineModel(torchs)
    (row, _) = model.prepare(Job(PARAMS))
    model.use(openvinos)
    (later, _) = model.prepare(Job(PARAMS))
    assert row.pipe is torchs and later.pipe is openvinos
    assert row.key != later.key, "they must never share a call"
    while not row.finished:
        model.answer([row])
    np.testing.assert_array_equal(model.decode([row])[0], torchs.generate(PARAMS.image(0))[0])
