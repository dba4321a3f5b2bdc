"""The one opener of foreign pictures: what a file means, whatever else it carries; a sentence for what is none."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ldm_core.images import PictureError, feather, open_picture, picture_format

GREY = np.tile(np.arange(64, dtype=np.uint8) * 4, (8, 1))
PICTURE = np.stack([GREY, GREY.T[:8, :8].repeat(8, axis=1), 255 - GREY], axis=-1)


def opened(data: bytes) -> Image.Image:
    return open_picture(BytesIO(data), 1_000_000, 1_000_000)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)  # type: ignore[arg-type]
    return out.getvalue()


def with_chunk(png: bytes, kind: bytes, body: bytes, crc: int | None = None) -> bytes:
    """The PNG with another chunk after its header."""
    crc = zlib.crc32(kind + body) if crc is None else crc
    return png[:33] + struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc) + png[33:]


def test_sixteen_bit_grey_keeps_its_shades():
    image = Image.fromarray(GREY.astype(np.uint16) * 257)
    assert image.mode == "I;16"
    assert np.array_equal(np.asarray(opened(saved(image, "PNG")))[..., 0], GREY)


@pytest.mark.parametrize(
    "chunk",
    [
        (b"iCCP", b"profile\0\0not deflated"),
        (b"zTXt", b"note\0\0" + zlib.compress(b"a" * 3_000_000)),
        (b"eXIf", b"MM\0*\xff\xff\xff\xffdamaged"),
        (b"tEXt", b"note\0text", 0),
        (b"iTXt", b"\xff\xfe"),
        (b"pHYs", b"short"),
    ],
    ids=lambda chunk: chunk[0].decode(),
)
def test_a_damaged_or_huge_chunk_beside_the_picture_changes_nothing(
    chunk: tuple[bytes, bytes] | tuple[bytes, bytes, int],
):
    data = with_chunk(saved(Image.fromarray(PICTURE), "PNG"), *chunk)
    assert np.array_equal(np.asarray(opened(data)), PICTURE)


def test_damaged_exif_of_a_jpeg_changes_nothing():
    exif = b"Exif\0\0MM\0*\xff\xff\xff\xff" + b"\xff" * 20
    plain = saved(Image.fromarray(PICTURE), "JPEG")
    data = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]
    assert np.array_equal(np.asarray(opened(data)), np.asarray(opened(plain)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_file_cut_short_is_a_sentence(kind: str):
    data = saved(Image.effect_noise((128, 128), 60).convert("RGB"), kind)
    with pytest.raises(PictureError, match="incomplete or damaged") as caught:
        opened(data[: len(data) // 2])
    assert caught.value.key == "picture_cut"


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame(kind: str):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, lossless=True)
    red, _, blue = np.asarray(opened(data).convert("RGB")).reshape(-1, 3).mean(axis=0)
    assert red > 250 and blue < 5


def test_modes_that_files_have():
    for mode in ("1", "L", "LA", "P", "RGBA", "CMYK"):
        image = Image.fromarray(PICTURE).convert(mode)
        assert opened(saved(image, "JPEG" if mode == "CMYK" else "PNG")).mode == ("RGBA" if "A" in mode else "RGB")


@pytest.mark.parametrize("data", [b"", b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"II*\0\x08\0\0\0"])
def test_what_is_no_picture_is_a_sentence(data: bytes):
    with pytest.raises(PictureError, match="not a picture that can be read"):
        opened(data)


def test_what_is_no_file_of_bytes_is_not_read(tmp_path: Path):
    for path in (Path("/dev/zero"), tmp_path):
        with pytest.raises(PictureError, match="not a picture that can be read"):
            open_picture(path, 1_000_000, 1_000_000)
    with pytest.raises(PictureError, match="no longer there"):
        open_picture(tmp_path / "gone.png", 1_000_000, 1_000_000)


def test_a_seam_falls_gently_on_the_kept_side():
    mask = np.zeros((512, 512), np.uint8)
    mask[100:200, 100:200] = 255
    mask[300] = 255  # a stroke of one pixel
    share = feather(mask)
    assert (share[mask == 255] == 1).all(), "what is painted over is made anew, a thin stroke too"
    assert np.abs(np.diff(share, axis=0)).max() < 0.12 and (np.diff(share[200:209, 150]) < 0).all()
    assert (share[:, :92] == 0)[:290].all() and share[150, 95] > 0
    assert not feather(np.zeros((8, 8), np.uint8)).any() and feather(np.full((8, 8), 255, np.uint8)).all()


def test_a_files_kind_is_told_by_content_among_those_that_are_opened(tmp_path: Path):
    image, file = Image.fromarray(PICTURE), tmp_path / "picture.png"
    for kind in ("JPEG", "TIFF"):
        file.write_bytes(saved(image, kind))
        assert picture_format(file) == ("JPEG" if kind == "JPEG" else None)
    file.write_bytes(b"no picture")
    assert picture_format(file) is picture_format(tmp_path / "gone.png") is None
