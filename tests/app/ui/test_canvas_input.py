"""The canvas → picture and mask."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from app.schemas import RequestError
from app.settings import Settings
from app.ui.canvas_input import for_canvas, picture_and_mask
from app.ui.gradio_patches.canvas_files import keep_files
from ldm_core.sampling import Limits

LIMITS, SETTINGS, SIZE = Limits(), Settings(), (128, 128)


def save(path: Path, pixels: np.ndarray) -> str:
    Image.fromarray(pixels).save(path)
    return str(path)


@pytest.fixture
def picture(tmp_path: Path) -> str:
    return save(tmp_path / "p.png", np.full((256, 256, 3), 90, np.uint8))


def layer(path: Path, rows: slice, side: int = 256) -> str:
    pixels = np.zeros((side, side, 4), np.uint8)
    pixels[rows] = 255
    return save(path, pixels)


def test_nothing_on_the_canvas_is_nothing():
    assert picture_and_mask(None, SETTINGS, LIMITS, SIZE) == (None, None)
    assert picture_and_mask({"background": None, "layers": []}, SETTINGS, LIMITS, SIZE) == (None, None)


def test_picture_without_paint_is_image_to_image(picture: str, tmp_path: Path):
    bare = layer(tmp_path / "l.png", slice(0, 0))
    init, mask = picture_and_mask({"background": picture, "layers": [bare]}, SETTINGS, LIMITS, SIZE)
    assert init is not None and init.shape == (128, 128, 3) and (init == 90).all() and mask is None


def test_paint_of_all_layers_is_the_mask(picture: str, tmp_path: Path):
    layers = [layer(tmp_path / "a.png", slice(0, 64)), layer(tmp_path / "b.png", slice(192, 256))]
    _, mask = picture_and_mask({"background": picture, "layers": layers}, SETTINGS, LIMITS, SIZE)
    assert mask is not None and mask.shape == (128, 128)
    assert (mask[:32] == 255).all() and (mask[32:96] == 0).all() and (mask[96:] == 255).all()


def test_paint_without_a_picture_is_refused(tmp_path: Path):
    paint = layer(tmp_path / "a.png", slice(0, 64))
    with pytest.raises(RequestError, match="no picture"):
        picture_and_mask({"background": None, "layers": [paint]}, SETTINGS, LIMITS, SIZE)


def test_a_background_without_a_visible_pixel_is_no_picture(tmp_path: Path):
    """As the browser's editor sends an empty canvas that was painted on."""
    empty, paint = layer(tmp_path / "e.png", slice(0, 0)), layer(tmp_path / "a.png", slice(0, 64))
    assert picture_and_mask({"background": empty, "layers": []}, SETTINGS, LIMITS, SIZE) == (None, None)
    with pytest.raises(RequestError, match="no picture"):
        picture_and_mask({"background": empty, "layers": [paint]}, SETTINGS, LIMITS, SIZE)


def test_a_huge_upload_is_refused_before_it_is_decoded(tmp_path: Path):
    settings = Settings(max_upload_pixels=10_000)
    huge = save(tmp_path / "h.png", np.zeros((200, 200, 3), np.uint8))
    with pytest.raises(RequestError, match="megapixels"):
        picture_and_mask({"background": huge, "layers": []}, settings, LIMITS, SIZE)


def test_the_editor_hands_files_over_undecoded(tmp_path: Path):
    editor = keep_files(gr.ImageEditor(render=False))
    broken = SimpleNamespace(path="/not/a/picture")
    payload = SimpleNamespace(id=None, background=broken, layers=[broken], composite=None)
    assert editor.preprocess(payload) == {"background": "/not/a/picture", "layers": ["/not/a/picture"]}  # type: ignore[arg-type]
    editor.blob_storage["k"] = SimpleNamespace(background=b"abc", layers=[None, b"xyz"], composite=None)
    canvas = editor.preprocess(SimpleNamespace(id="k"))  # type: ignore[arg-type]
    assert Path(canvas["background"]).read_bytes() == b"abc"  # type: ignore[index, arg-type]
    assert [Path(p).read_bytes() for p in canvas["layers"]] == [b"xyz"]  # type: ignore[index, arg-type]
    assert "k" not in editor.blob_storage


def test_small_pictures_are_enlarged_pixel_for_pixel(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    big = for_canvas(Path(save(tmp_path / "s.png", pixels)))
    assert big.shape == (512, 512, 3) and np.array_equal(big[::4, ::4], pixels)
