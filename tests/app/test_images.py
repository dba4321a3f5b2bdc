"""Uploads are bounded before they are decoded."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.images import fit, fit_mask, open_upload
from app.schemas import RequestError
from app.settings import Settings
from ldm_core.sampling import Limits


def huge_png(path: Path, width: int, height: int) -> Path:
    """A valid header that promises width × height pixels, and a few bytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b""))
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


def test_200_megapixels_are_refused_from_the_header(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="50 megapixels are allowed"):
        open_upload(huge_png(tmp_path / "big.png", 20_000, 10_000), Settings())


def test_too_many_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"0" * 2000)
    with pytest.raises(RequestError, match="at most"):
        open_upload(path, Settings(max_upload_bytes=1000))


def test_text_and_truncated_files(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(RequestError, match="not a picture"):
        open_upload(tmp_path / "a.png", Settings())
    Image.effect_noise((64, 64), 50).save(tmp_path / "b.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:1000])
    with pytest.raises(RequestError, match="incomplete or damaged"):
        open_upload(tmp_path / "b.png", Settings())


def test_an_upload_that_was_swept_away(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no longer there"):
        open_upload(tmp_path / "a.png", Settings())


def test_rotation_and_transparency(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    Image.new("RGB", (40, 20), "red").save(tmp_path / "a.jpg", exif=exif)
    assert open_upload(tmp_path / "a.jpg", Settings()).size == (20, 40)
    Image.new("RGBA", (16, 16), (255, 0, 0, 0)).save(tmp_path / "b.png")
    pixels = fit(open_upload(tmp_path / "b.png", Settings()), Limits(), None, None)
    assert pixels.shape == (128, 128, 3)
    assert (pixels == 255).all()


def test_mask_is_binary_and_must_mark_something() -> None:
    mask = Image.fromarray(np.pad(np.full((10, 10), 255, np.uint8), 27))
    fitted = fit_mask(mask, Limits(), 64, 64)
    assert set(np.unique(fitted)) == {0, 255}
    assert (fitted == 255).sum() == 100
    with pytest.raises(RequestError, match="mask is empty"):
        fit_mask(Image.new("L", (64, 64)), Limits(), 64, 64)
