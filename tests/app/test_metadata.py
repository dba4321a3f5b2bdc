"""What a PNG says of itself comes back as the request it was made from."""

import json
import time
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from app.metadata import file_name, read_png
from app.schemas import RequestError
from ldm_core.config import MAX_SEED
from ldm_core.metadata import KEY, MAX_TEXT, parameters_line, png_texts, read_parameters, unread_parameters, write_png
from ldm_core.sampling import SAMPLER_NAMES, SamplingParams
from tests.test_images import with_chunk

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
    assert info == {"weights_sha256": "ab" * 32, "version": "1.0", "start": "noise"}
    with Image.open(path) as image:
        assert f"Seed: {request_.seed}" in image.text["parameters"]  # type: ignore[attr-defined]


def test_a_picture_made_from_another_says_how_far(tmp_path: Path) -> None:
    for start, told in (("noise", False), ("picture", True), ("picture and mask", True)):
        write_png(tmp_path / "a.png", PIXELS, SamplingParams("a", strength=0.4), "0" * 64, "1", {"start": start})
        line = png_texts((tmp_path / "a.png").read_bytes())["parameters"]
        assert ("Denoising strength: 0.4" in line) == told


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


def test_settings_of_a_newer_version_are_not_damaged(tmp_path: Path) -> None:
    record = {"request": {"prompt": "a", "sparkle": 3}, "weights_sha256": "", "version": "9.1"}
    with pytest.raises(RequestError, match=r"Latent Lab 9\.1, with settings unknown here: sparkle"):
        read_png(_png(tmp_path, json.dumps(record)))


def test_a_file_of_0_1_0_is_read_without_decoding_its_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = {
        "prompt": "a",
        "negative_prompt": "",
        "steps": 25,
        "eta": 0.0,
        "guidance_scale": 5.0,
        "sampler": "ddim",
        "seed": 3,
        "width": None,
        "height": None,
        "batch": 1,
        "strength": 0.75,
    }
    path = _png(tmp_path, json.dumps({"request": old, "weights_sha256": "ab", "version": "0.1.0"}))
    path.write_bytes(path.read_bytes().replace(b"IDAT", b"IDXT"))  # nothing that could be decoded
    made, info = read_png(path)
    assert made == SamplingParams("a", seed=3, guidance_scale=5.0)
    assert info == {"weights_sha256": "ab", "version": "0.1.0"}


ODD = {  # chunks for which Pillow refuses the whole file, or which it unpacks without end
    "packed without end": (b"zTXt", b"note\0\0" + zlib.compress(b"a" * 3_000_000)),
    "packed in another way": (b"zTXt", b"note\0\5x"),
    "international, without end": (b"iTXt", b"note\0\1\0\0\0" + zlib.compress(b"a" * 3_000_000)),
    "damaged": (b"iTXt", b"note\0\1\0\0\0no deflate"),
    "short": (b"pHYs", b"x"),
    "empty": (b"sRGB", b""),
    "animated": (b"acTL", b"\x7f\xff\xff\xff\0\0\0\0"),
    "nameless": (b"\0\0\0\0", b""),
}


@pytest.mark.parametrize("name", ODD)
def test_texts_are_read_beside_an_odd_chunk(name: str, tmp_path: Path) -> None:
    """Pillow wrote the texts; of those packed without end none is kept."""
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "caf\u00e9, Steps: 3")
    info.add_itxt("title", "日本語", zip=True)
    info.add_text("packed", "b" * 1000, zip=True)
    Image.fromarray(PIXELS).save(tmp_path / "a.png", pnginfo=info)
    data = with_chunk((tmp_path / "a.png").read_bytes(), *ODD[name])
    assert png_texts(data) == {"parameters": "café, Steps: 3", "title": "日本語", "packed": "b" * 1000}
    assert png_texts(data[:33]) == {} and png_texts(b"no png") == {}


def test_the_line_other_programs_show_is_read_again() -> None:
    params = SamplingParams("a cat, (red:1.2)\nand more", "ugly", seed=3, guidance_scale=7.5, sampler="unipc")
    values = read_parameters(parameters_line(params, 128, 256, "0" * 64))
    assert SamplingParams.from_dict(values) == replace(params, width=128, height=256)
    assert unread_parameters(parameters_line(params, 128, 256, "0" * 64)) == []


def test_the_line_has_the_samplers_names_of_other_programs() -> None:
    lines = {name: parameters_line(SamplingParams("a", sampler=name), 64, 64, "0" * 64) for name in SAMPLER_NAMES}
    assert "Sampler: Euler a, " in lines["euler_a"] and "Sampler: DPM++ 2M, " in lines["dpmpp_2m"]
    assert {name: read_parameters(line)["sampler"] for name, line in lines.items()} == {n: n for n in SAMPLER_NAMES}
    own = lines["euler_a"].replace("Euler a", "euler_a")  # of files written before
    assert read_parameters(own)["sampler"] == "euler_a"


def test_the_line_names_strength_and_variation_where_they_apply() -> None:
    varied = {"strength": 0.4, "variation_seed": 9, "variation_strength": 0.25}
    params = SamplingParams("a", seed=3, guidance_scale=5.0, width=64, height=64, **varied)
    line = parameters_line(params, 64, 64, "0" * 64, from_picture=True)
    values = read_parameters(line)
    assert SamplingParams.from_dict(values) == params and unread_parameters(line) == []
    plain = parameters_line(replace(params, variation_strength=0.0), 64, 64, "0" * 64)
    assert "trength" not in plain and "Variation" not in plain


def test_a_prompt_forges_no_settings() -> None:
    params = SamplingParams("a\nNegative prompt: b\nSteps: 9, Seed: 1", "c\nSteps: 3, Seed: 2", steps=5, seed=4)
    values = read_parameters(parameters_line(params, 64, 64, "0" * 64))
    assert (values["prompt"], values["negative_prompt"]) == (
        "a Negative prompt: b Steps: 9, Seed: 1", "c Steps: 3, Seed: 2",
    )  # fmt: skip
    assert (values["steps"], values["seed"]) == (5, 4)
    began = time.process_time()
    for text in ("\n" * 100_000, " \n" * 50_000, "a" + "\n" * 100_000 + "b"):
        parameters_line(SamplingParams(text), 64, 64, "0" * 64)
    assert time.process_time() - began < 1, "one request would hold up all"


def test_a_line_of_another_program_is_read() -> None:
    """With an extension's quoted commas and a sampler's scheduler."""
    text = (
        "masterpiece, a cat\nNegative prompt: ugly, Steps: many\nSteps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7.5, "
        'Seed: 123, Size: 512x768, Model hash: abc, ControlNet 0: "weight: 1, Eta: 9", Denoising strength: 0.6'
    )
    assert read_parameters(text) == {
        "prompt": "masterpiece, a cat", "negative_prompt": "ugly, Steps: many", "steps": 20, "sampler": "dpmpp_2m",
        "guidance_scale": 7.5, "seed": 123, "width": 512, "height": 768, "strength": 0.6,
    }  # fmt: skip


def test_a_line_without_a_prompt_keeps_its_negative_prompt() -> None:
    values = read_parameters("Negative prompt: ugly\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x64")
    assert (values["prompt"], values["negative_prompt"]) == ("", "ugly")


def test_what_is_not_read_is_named() -> None:
    text = (
        "a cat <lora:fur:0.8>, <lora:fur:0.8>\nSteps: 20, Sampler: LCM, Schedule type: Karras, Seed: 1, Size: 64x64, "
        "Model: other, Clip skip: 2, Hires upscale: 2, Version: v1.10"
    )
    assert unread_parameters(text) == ["<lora:fur:0.8>", "Sampler LCM", "Schedule type", "Clip skip", "Hires upscale"]
    assert unread_parameters("a cat <lora:fur:0.8>") == []


@pytest.mark.parametrize(
    "text",
    [
        'Steps: 1, a: "' + "\\" * 100_000,
        'Steps: 1, a: "' + '\\"' * 50_000,
        'Steps: 1, a: "x' + ', a: "x' * 15_000,
        "Steps: 1, " + " " * 100_000,
        "Steps: 1, " + "a" * 100_000,
        "Steps: 1, " + "a " * 50_000,
        "Steps: 1, a:" + " " * 100_000,
        " " * 100_000,
        "\n" * 100_000,
        " \n" * 50_000 + "x",
        "Steps: " + "1" * 100_000,
        "Steps: 1,\n" * 10_000,
        "a\nNegative prompt:" * 6_000 + "\nSteps: 1, x",
        "Steps: 1, Size: " + "9" * 100_000 + "x8",
        "Steps: 1, Sampler: a" + " karra" * 16_000,
        "<lora:a" * 15_000 + "\nSteps: 1, x",
    ],
    ids=lambda text: repr(text[:24]),
)
def test_settings_that_take_long_to_read(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In time that grows with their length; what is longer than any file's text is not read at all."""
    assert read_parameters(text + " " * MAX_TEXT) == {}
    monkeypatch.setattr("ldm_core.metadata.MAX_TEXT", 10**6)
    began = time.process_time()
    values = read_parameters(text)
    unread_parameters(text)
    assert time.process_time() - began < 1
    assert set(values) <= {"prompt", "negative_prompt", "steps"}


def test_a_quoted_value_ends_where_its_writer_ended_it() -> None:
    text = 'a\nSteps: 3, Note: "say \\"Seed: 1, Eta: 1\\" twice", Seed: 5, Size: 9999999x8'
    assert read_parameters(text) == {"prompt": "a", "negative_prompt": "", "steps": 3, "seed": 5}


@pytest.mark.parametrize("text", ["a cat", "", "Steps to the sea, Sampler: wood", "a\nSeed: 3"])
def test_prose_holds_no_settings(text: str) -> None:
    assert read_parameters(text) == {}


@pytest.mark.parametrize(
    ("prompt", "name"),
    [("A red apple, noto style", "a-red-apple-noto-style-7-01234567.png"), ("../\u732b/..", "picture-7-01234567.png")],
)
def test_a_file_s_name_says_what_it_shows(prompt: str, name: str) -> None:
    assert file_name(prompt, 7, "0123456789abcdef") == name
