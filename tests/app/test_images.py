"""Uploads are bounded before they are decoded."""

import struct
import zlib
from io import BytesIO
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


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a RIFF file, such as WebP."""
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def webp(width: int, height: int, *frames: tuple[int, int, bytes]) -> bytes:
    """An animation on a canvas of this size, frames of (width, height, lossless bits)."""
    body = chunk(b"VP8X", bytes([2, 0, 0, 0]) + _int24(width - 1) + _int24(height - 1)) + chunk(b"ANIM", bytes(6))
    for w, h, bits in frames:
        body += chunk(b"ANMF", bytes(6) + _int24(w - 1) + _int24(h - 1) + _int24(40) + b"\0" + chunk(b"VP8L", bits))
    return chunk(b"RIFF", b"WEBP" + body)


def gif(width: int, height: int, *frames: tuple[int, int, bytes]) -> bytes:
    """An animation on a screen of this size in black and white, frames of (width, height, LZW codes)."""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    for w, h, codes in frames:
        head += b"," + struct.pack("<HHHHB", 0, 0, w, h, 0) + b"\x08" + bytes([len(codes)]) + codes + b"\0"
    return head + b";"


def _int24(n: int) -> bytes:
    return struct.pack("<I", n)[:3]


def bits_of(image: Image.Image) -> bytes:
    """A picture's lossless WebP bits, without their file."""
    out = BytesIO()
    image.save(out, "WEBP", lossless=True)
    data = out.getvalue()
    at = data.index(b"VP8L")
    return data[at + 8 : at + 8 + struct.unpack_from("<I", data, at + 4)[0]]


def codes_of(image: Image.Image) -> bytes:
    """A picture's LZW codes, without their file."""
    out = BytesIO()
    image.save(out, "GIF", optimize=False)
    data = out.getvalue()
    at = data.index(b"," + struct.pack("<HHHH", 0, 0, *image.size)) + 10
    assert data[at] == 8  # bits of the first code, as `gif` says
    return data[at + 2 : at + 2 + data[at + 1]]


GOOD = bits_of(Image.new("RGB", (16, 16), "red"))
WHITE = codes_of(Image.new("P", (2, 2), 1))
MANY = 20_000


@pytest.mark.parametrize(
    ("data", "side"),
    [
        (webp(16, 16, (16, 16, GOOD), *[(16, 16, GOOD[:-8] + b"\xff" * 8)] * MANY), 16),
        (gif(2, 2, (2, 2, WHITE), *[(2, 2, b"\xff\xff")] * MANY), 2),
        (webp(16, 16, (16_383, 16_383, GOOD)), 16),
        (gif(2, 2, (2, 2, WHITE), *[(65_535, 65_535, WHITE)] * 100), 2),
    ],
    ids=["webp", "gif", "webp that claims more", "gif whose later frames are larger"],
)
def test_of_a_bomb_of_frames_the_first_alone_is_decoded(data: bytes, side: int) -> None:
    """The others could not even be read."""
    assert len(data) < Settings().max_upload_bytes
    assert open_upload(BytesIO(data), Settings()).size == (side, side)


@pytest.mark.parametrize(
    "data",
    [
        webp(16_383, 16_383, (16, 16, GOOD)),
        gif(65_535, 65_535, (2, 2, WHITE)),
        gif(2, 2, (65_535, 65_535, WHITE)),
    ],
    ids=["webp's canvas", "gif's screen", "gif's frame"],
)
def test_a_small_file_of_a_huge_picture_is_refused(data: bytes) -> None:
    assert len(data) < 1000
    with pytest.raises(RequestError, match=r"megapixels (are )?allowed|incomplete or damaged"):
        open_upload(BytesIO(data), Settings())


def test_a_mask_with_transparency_is_its_alpha() -> None:
    """Another program's mask: painted where it is opaque, in whatever colour."""
    mask = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    mask.paste((0, 0, 0, 255), (0, 0, 32, 64))
    fitted = fit_mask(mask, Limits(), 64, 64)
    assert (fitted[:, :32] == 255).all() and not fitted[:, 32:].any()
    mask = Image.new("RGBA", (64, 64), (0, 0, 0, 255))  # all opaque: its colours count
    mask.paste((255, 255, 255, 255), (32, 0, 64, 64))
    fitted = fit_mask(mask, Limits(), 64, 64)
    assert (fitted[:, 32:] == 255).all() and not fitted[:, :32].any()
