"""A folder of models: what is listed, and real, small weights asked for by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.engine import Done, Failed, Job, Queued, Requester
from app.history import History
from app.metadata import read_png
from app.models.folder import ModelFolder, NotReady, read_file
from app.schemas import RequestError, check_params
from app.service import Service
from app.settings import Settings
from ldm_core import load
from ldm_core.checkpoint import convert
from ldm_core.presets import TINY
from ldm_core.sampling import Limits, SamplingParams
from tests.app.serving import until
from tests.tiny import tiny_checkpoint

# -- the folder ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models as files, a third as a diffusers folder, a copy, what is broken and what is no model."""
    folder = tmp_path_factory.mktemp("models")
    tiny_checkpoint(folder, name="own.safetensors")
    one = tiny_checkpoint(folder, seed=1, name="one.safetensors")
    tiny_checkpoint(folder, seed=2, name="two.safetensors")
    convert(tiny_checkpoint(folder, seed=3, name="three.safetensors"), folder / "folder", format="diffusers")
    (folder / "three.safetensors").unlink()
    (folder / "copy.ckpt").write_bytes(one.read_bytes())
    (folder / "cut.safetensors").write_bytes(one.read_bytes()[:5000])
    (folder / "page.ckpt").write_text("<html>not found</html>")
    (folder / "bare").write_bytes((folder / "two.safetensors").read_bytes())
    (folder / "LICENSE").write_text("of the models")
    (folder / "notes.json").write_text("{}")
    return folder


def test_a_folder_by_content(folder: Path) -> None:
    files = ModelFolder(folder / "own.safetensors", Limits())
    own = read_file(folder / "own.safetensors", Limits(), 10**9, 4)
    files.own = own
    files.scan(folder, lambda path: read_file(path, Limits(), 10**9, 4))
    usable = {file.name: file for file in files.usable}
    assert list(usable) == ["own", "bare", "copy", "folder"], "equal content is listed once, whatever its name"
    faults = {file.name: file.fault for file in files if file.fault}
    assert set(faults) == {"cut", "page"}
    assert not any(str(folder) in fault for fault in faults.values()), "where it lies is the operator's"
    assert "truncated" in faults["cut"] and "a web page" in faults["page"]
    assert usable["copy"].limits.image_size == 32 and usable["copy"].bytes == own.bytes > 10**6

    for name in ("copy", "copy.ckpt", usable["copy"].sha256, usable["copy"].sha256[:10], usable["copy"].title):
        assert files.find(name) is usable["copy"]
    assert files.find("") is own
    with pytest.raises(RequestError, match="There is no model 'five' here"):
        files.find("five")
    with pytest.raises(RequestError, match=r"cut cannot be used: .*truncated"):
        files.find("cut")


def test_a_name_means_one_model(tmp_path: Path) -> None:
    own = tiny_checkpoint(tmp_path, name="sd-1.5.safetensors")
    for place in ("a", "b", "c"):
        (tmp_path / place).mkdir()
    (tmp_path / "c" / own.name).write_bytes(own.read_bytes()[:-4])
    tiny_checkpoint(tmp_path / "a", seed=1, name="sd-1.5.safetensors")
    tiny_checkpoint(tmp_path / "b", seed=2, name="sd-1.5.safetensors")
    files = ModelFolder(own, Limits())
    for place in ("a", "b", "c"):
        files.scan(tmp_path / place, lambda path: read_file(path, Limits(), 10**9, 4))
    assert files.own.name == "sd-1.5" and len({file.name for file in files}) == 4
    assert all(files.find(file.name) is file for file in files.usable)


def test_a_model_without_text_needs_no_prompt(tmp_path: Path) -> None:
    free = replace(TINY, name="free", conditioning_key=None, unet=replace(TINY.unet, context_dim=None), text=None)
    file = read_file(tiny_checkpoint(tmp_path, free), Limits(), 10**9, 4)
    check_params(SamplingParams(""), file.limits)
    with pytest.raises(RequestError, match="Please type a prompt"):
        check_params(SamplingParams(""), read_file(tiny_checkpoint(tmp_path), Limits(), 10**9, 4).limits)


def test_a_fault_names_no_folder_of_the_server(tmp_path: Path) -> None:
    (tmp_path / "lost" / "unet").mkdir(parents=True)
    (tmp_path / "lost" / "model_index.json").write_text("{}")
    (tmp_path / "lost" / "unet" / "config.json").write_text("{}")
    fault = read_file(tmp_path / "lost", Limits(), 10**9, 4).fault
    assert fault and str(tmp_path) not in fault


def test_what_is_too_large_says_so_before_it_is_loaded(folder: Path) -> None:
    assert "--model-bytes leaves" in read_file(folder / "one.safetensors", Limits(), 10**6, 4).fault
    assert "--max-side is 16" in read_file(folder / "one.safetensors", replace(Limits(), max_side=16), 10**9, 4).fault


# -- real weights --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = Settings(
        weights=folder / "own.safetensors", models=folder, device="cpu", dtype="float32", runtime="torch",
        data_dir=tmp_path_factory.mktemp("data"),
    )  # fmt: skip
    service = Service(settings)
    service.start()
    until(lambda: len(list(service.models)) == 6)
    yield service
    service.close()


@pytest.mark.parametrize("name", ["copy", "folder", "own"])
def test_a_request_s_model_makes_its_picture(service: Service, folder: Path, name: str) -> None:
    file = service.models.find(name)
    request = SamplingParams("a red apple", steps=2, seed=5, guidance_scale=3.0)
    end = service.submit(request, model=name, requester=Requester("me")).wait()
    assert isinstance(end, Done), end
    [image] = end.result.images
    alone = load(file.path, device="cpu", dtype="float32", runtime="torch")
    expected = alone.generate(request)[0].astype(int)
    assert np.abs(np.asarray(Image.open(image.path)).astype(int) - expected).max() <= 1
    assert read_png(image.path)[1]["weights_sha256"] == alone.weights_sha256 == file.sha256
    assert service.history is not None and service.history.images("me")[0].model == name


@pytest.mark.slow
def test_a_job_of_a_model_runs_again_and_one_whose_model_has_gone_says_so(folder: Path, tmp_path: Path) -> None:
    """Both can be followed from the start, when nobody has looked at the folder yet."""
    copy = read_file(folder / "copy.ckpt", Limits(), 10**9, 4)
    jobs = {
        said: Job(SamplingParams("a", steps=1, seed=1), model=model, requester=Requester("me", durable=True))
        for model, said in ((copy.sha256, ""), ("0" * 64, "There is no model '000"))
    }
    history = History(tmp_path, Settings())
    for job in jobs.values():
        history.journal.accept(job)
    history.close()
    settings = Settings(
        weights=folder / "own.safetensors", models=folder, device="cpu", runtime="torch", data_dir=tmp_path
    )
    service = Service(settings)
    assert service.history is not None
    try:
        again = {said: service.job(job.id, "me") for said, job in jobs.items()}
        assert all(isinstance(job.events[-1], Queued) for job in again.values() if job is not None)
        with pytest.raises(NotReady):
            service.models.find(copy.sha256)
        service.start()
        for said, job in again.items():
            assert job is not None
            end = job.wait()
            assert isinstance(end, Failed if said else Done)
            record = service.history.journal.job(job.id, "me")
            assert record is not None and record.state == ("failed" if said else "done")
            assert said in (record.message or "")
    finally:
        service.close()
