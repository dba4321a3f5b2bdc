"""What a PNG says of itself comes back as the request it was made from."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from app.metadata import KEY, read_png, write_png
from app.schemas import RequestError
from ldm_core.config import MAX_SEED
from ldm_core.sampling import SamplingParams

PIXELS = np.zeros((8, 8, 3), np.uint8)

requests = st.builds(
    SamplingParams,
    prompt=st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=200),
    negative_prompt=st.text(st.characters(exclude_categories=("Cs",)), max_size=50),
    steps=st.integers(1, 1000),
    eta=st.floats(0, 1),
    guidance_scale=st.floats(-50, 50),
    sampler=st.sampled_from(["ddim", "ddpm"]),
    seed=st.integers(0, MAX_SEED),
    width=st.none() | st.integers(1, 32).map(lambda k: 32 * k),
    strength=st.floats(0.01, 1),
)


@given(request_=requests)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip(tmp_path: Path, request_: SamplingParams) -> None:
    path = tmp_path / "a.png"
    write_png(path, PIXELS, request_, "ab" * 32, "1.0")
    restored, info = read_png(path)
    assert restored == request_
    assert info == {"weights_sha256": "ab" * 32, "version": "1.0"}
    with Image.open(path) as image:
        assert f"Seed: {request_.seed}" in image.text["parameters"]  # type: ignore[attr-defined]


def _png(tmp_path: Path, text: str | None) -> Path:
    info = PngImagePlugin.PngInfo()
    if text is not None:
        info.add_itxt(KEY, text)
    path = tmp_path / "b.png"
    Image.fromarray(PIXELS).save(path, pnginfo=info)
    return path


@pytest.mark.parametrize(
    "text",
    [
        None,
        "not json",
        "[]",
        json.dumps({"request": {"prompt": "a", "path": "/etc/passwd"}, "weights_sha256": "", "version": ""}),
        json.dumps({"request": {"prompt": "a"}}),
        "[" * 50_000,
        json.dumps({"request": {"prompt": "a" * 70_000}, "weights_sha256": "", "version": ""}),
        json.dumps({"request": {"prompt": "a", "steps": 10**400}, "weights_sha256": "", "version": ""}),
        json.dumps({"request": {"prompt": "\ud800"}, "weights_sha256": "", "version": ""}),
    ],
)
def test_damaged_or_foreign_settings_are_one_sentence(tmp_path: Path, text: str | None) -> None:
    with pytest.raises(RequestError, match=r"^[^\n]+\.$|\?$"):
        read_png(_png(tmp_path, text))


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(RequestError, match="not a picture"):
        read_png(tmp_path / "a.txt")
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg")
    with pytest.raises(RequestError, match="JPEG"):
        read_png(tmp_path / "a.jpg")
