"""`generate` for every kind of model that needs no picture as its condition."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ldm_core.__main__ import main
from ldm_core.compvis.ddim import DDIMSampler
from ldm_core.config import ModelConfig
from ldm_core.devices import OutOfMemory
from ldm_core.diffusion.inversion import lerp, slerp
from ldm_core.interpolation import interpolate
from ldm_core.metadata import read_png
from ldm_core.pipeline import Pipeline, finish, load
from ldm_core.presets import TINY
from ldm_core.runtime.base import RuntimeFailed
from ldm_core.runtime.torch import TorchRuntime
from ldm_core.sampling import SamplingParams
from ldm_core.shipped import EMOJI_128
from ldm_core.text.knowledge import SUFFIX
from tests.tiny import FREE, tiny_checkpoint, tiny_pipeline

CLASSY = replace(FREE, name="classy", conditioning_key="adm", unet=replace(FREE.unet, num_classes=4))
PICTURED = replace(FREE, name="pictured", conditioning_key="concat", unet=replace(FREE.unet, in_channels=8))
SHAPE = TINY.latent_shape()
FP32 = ("--dtype", "float32")  # where the processor has bf16, "auto" would take it


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return tiny_pipeline()


def generate(folder: Path, config: ModelConfig, *args: str) -> int:
    file = str(tiny_checkpoint(folder, config))
    return main(["generate", "--weights", file, "--out", str(folder / "out"), "--steps", "2", *FP32, *args])


def pictures(folder: Path) -> dict[str, np.ndarray]:
    return {path.name: np.asarray(Image.open(path)) for path in sorted((folder / "out").glob("*.png"))}


def x_t(seed: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def test_without_a_condition(tmp_path: Path):
    assert generate(tmp_path, FREE, "--batch", "2", "--seed", "4") == 0
    made = pictures(tmp_path)
    assert list(made) == ["000-4.png", "000-5.png"]
    pipe = load(tmp_path / "tiny.safetensors", dtype="float32")
    z, _ = DDIMSampler(pipe.model).sample(2, 2, SHAPE, x_T=torch.stack([x_t(4), x_t(5)]))  # the published loop
    assert np.abs(np.stack(list(made.values())).astype(int) - pipe.decode(z)).max() <= 1


def test_a_class(tmp_path: Path):
    assert generate(tmp_path, CLASSY, "--class", "2", "--guidance-scale", "3") == 0
    pipe = load(tmp_path / "tiny.safetensors", dtype="float32")
    nothing = {"unconditional_guidance_scale": 3.0, "unconditional_conditioning": torch.tensor([3])}
    z, _ = DDIMSampler(pipe.model).sample(2, 1, SHAPE, torch.tensor([2]), x_T=x_t(7)[None], **nothing)
    assert np.abs(pictures(tmp_path)["000-7.png"].astype(int) - pipe.decode(z)[0]).max() <= 1
    asked = {"steps": 2, "label": 2, "guidance_scale": 3.0}
    unguided = pipe.generate("", **asked | {"guidance_scale": 1.0})
    nowhere = pipe.generate("", **asked, guidance_interval=(0.9, 1.0))  # of t = 501 and 1 none lies in it
    assert np.array_equal(nowhere, unguided) and not np.array_equal(nowhere, pipe.generate("", **asked))
    others = [pipe.generate("", steps=2, label=k) for k in range(4)]
    assert len({image.tobytes() for image in others}) == 4


@pytest.mark.parametrize("config", [TINY, CLASSY])
def test_the_published_loop_in_half_precision(tmp_path: Path, config: ModelConfig):
    """The sampler's arithmetic and the latents stay in fp32; a picture is about the one of fp32 weights."""
    file, made = tiny_checkpoint(tmp_path, config), []
    for dtype in ("bfloat16", "float32"):
        pipe = load(file, dtype=dtype)
        cond = torch.tensor([2]) if config is CLASSY else pipe.encode_prompt("a red cat")[None].float()
        z, _ = DDIMSampler(pipe.model).sample(4, 1, SHAPE, cond, x_T=x_t(7)[None])
        assert z.dtype == torch.float32
        made.append(pipe.decode(z).astype(int))
    assert 0 < np.abs(made[0] - made[1]).mean() < 4


@pytest.mark.parametrize(
    ("config", "args", "said"),
    [
        (FREE, ["a cat"], "free has no text encoder: it cannot follow a prompt"),
        (FREE, ["--negative-prompt", "blurry"], "free has no text encoder"),
        (FREE, ["--class", "0"], "free is unconditional: it takes no class"),
        (CLASSY, [], "classy draws classes 0…3: it needs one of them, not None"),
        (CLASSY, ["--class", "4"], "0…3: it needs one of them, not 4"),
        (PICTURED, [], "pictured is told by pictures (concat): sample it with DDIMSampler"),
        (TINY, [], "tiny draws what a prompt says: give it one"),
        (TINY, [""], "tiny draws what a prompt says: give it one"),
        (TINY, [" \n"], "tiny draws what a prompt says: give it one"),
        (TINY, ["@/nothing/here.txt"], "/nothing/here.txt cannot be read: No such file or directory"),
        (TINY, ["a cat", "--seed", "-1"], "seed must lie in 0…4294967295, not -1"),
        (TINY, ["a cat", "--seed", "9" * 30], "seed must lie in 0…4294967295"),
        (TINY, ["a cat", "--to", "a dog", "--batch", "2", "--to-seed", "-4"], "seed must lie in 0…4294967295, not -4"),
        (TINY, ["a cat", "--class", "1"], "tiny follows a prompt: it takes no class"),
        (TINY, ["a cat", "--to", "a dog"], "--to and --to-seed need --batch 2 or more"),
        (TINY, ["a cat", "--threads", "-1"], "threads must be a whole number of at least 1, not -1"),
        (TINY, ["a cat", "--threads", "0"], "threads must be a whole number of at least 1, not 0"),
    ],
)
def test_misuse_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], config: ModelConfig, args: list[str], said: str
):
    assert generate(tmp_path, config, *args) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error
    assert not pictures(tmp_path)


def test_prompt_weights_reach_the_picture(pipe: Pipeline):
    def latent(prompt: str) -> Tensor:
        return finish(pipe.stream(prompt, steps=2))

    plain = latent("a red apple")
    assert torch.equal(latent("a (red:1.0) apple"), plain)
    light, heavy = ((latent(f"a (red:{w}) apple") - plain).norm() for w in (1.05, 1.6))
    assert 0 < light < heavy
    torch.testing.assert_close(latent("a (red) apple"), latent("a (red:1.1) apple"))
    assert torch.equal(latent(r"a \(red\) apple"), latent(r"a \(red\) apple"))
    assert not torch.equal(latent(r"a \(red\) apple"), plain)


def test_an_interpolation_on_the_command_line(tmp_path: Path, pipe: Pipeline):
    route = ("a red cat", "--to", "two dogs", "--to-seed", "9", "--batch", "3")
    assert generate(tmp_path, TINY, *route) == 0
    made = pictures(tmp_path)
    assert list(made) == ["000-0.png", "000-1.png", "000-2.png"]
    ends = [pipe.generate("a red cat", steps=2, seed=7)[0], pipe.generate("two dogs", steps=2, seed=9)[0]]
    for frame, end in ((0, ends[0]), (2, ends[1])):
        assert np.abs(made[f"000-{frame}.png"].astype(int) - end).max() <= 1
    assert all(np.abs(made["000-1.png"].astype(int) - end).mean() > 1 for end in ends)


def test_the_middle_frame_is_half_way_in_noise_and_words(pipe: Pipeline):
    steps = list(interpolate(pipe, SamplingParams("a red cat", steps=2, guidance_scale=1.0), "two dogs", 9, 3))
    middle = steps[0].x[1]
    torch.testing.assert_close(middle, slerp(x_t(7), x_t(9), 0.5))
    context = lerp(pipe.encode_prompt("a red cat"), pipe.encode_prompt("two dogs"), 0.5)
    with torch.no_grad():
        eps = pipe.model.apply_model(middle[None], torch.tensor([steps[0].t]), context[None])[0]
    torch.testing.assert_close(steps[0].eps[1], eps, rtol=1e-4, atol=1e-4)


def test_frames_keep_their_class_and_a_variation_is_no_start(pipe: Pipeline, tmp_path: Path):
    classy = load(tiny_checkpoint(tmp_path, CLASSY), dtype="float32")
    frames = finish(interpolate(classy, SamplingParams("", steps=2, label=2), "", 9, 12))
    middle = {"label": 2, "variation_seed": 9, "variation_strength": 5 / 11}
    torch.testing.assert_close(frames[5], finish(classy.stream("", steps=2, **middle))[0], rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="a picture that is a variation cannot be the start"):
        interpolate(pipe, SamplingParams("a", variation_seed=3, variation_strength=0.1), "b", 9, 3)


def test_frames_share_the_noise_on_the_way(pipe: Pipeline):
    still = finish(interpolate(pipe, SamplingParams("a", steps=3, sampler="euler_a"), "a", 7, 2))
    torch.testing.assert_close(still[0], still[1], rtol=1e-4, atol=1e-4)
    alone = finish(pipe.stream("a", steps=3, seed=7, sampler="euler_a"))[0]
    torch.testing.assert_close(still[0], alone, rtol=1e-4, atol=1e-4)


def test_pictures_carry_their_settings(tmp_path: Path, pipe: Pipeline):
    assert generate(tmp_path, TINY, "a red cat", "--batch", "2", "--negative-prompt", "blurry") == 0
    params, info = read_png(next(tmp_path.rglob("000-8.png")))
    assert params == SamplingParams("a red cat", negative_prompt="blurry", steps=2, seed=8, guidance_scale=5.0)
    assert len(info["weights_sha256"]) == 64 and info["version"]
    again = pipe.generate(params)[0]
    assert np.abs(pictures(tmp_path)["000-8.png"].astype(int) - again).max() <= 1


def test_another_grid(tmp_path: Path, pipe: Pipeline):
    assert [s.t for s in pipe.stream("a", steps=4, timestep_spacing="trailing")] == [999, 749, 499, 249]
    assert generate(tmp_path, TINY, "a", "--grid", "trailing") == 0
    expected = pipe.generate("a", steps=2, timestep_spacing="trailing")[0]
    assert np.abs(pictures(tmp_path)["000-7.png"].astype(int) - expected).max() <= 1


def test_a_file_of_prompts_and_what_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """One prompt a line, empty lines apart; heun's two questions a step are one step of the bar."""
    long = "a cat " * 40
    (tmp_path / "prompts.txt").write_text(f"a red cat\n\n  {long}and a hidden dog\n")
    assert generate(tmp_path, TINY, f"@{tmp_path / 'prompts.txt'}", "--sampler", "heun", "--steps", "60") == 0
    assert list(pictures(tmp_path)) == ["000-7.png", "001-7.png"]
    said = capsys.readouterr().err
    assert said.count("note: the model reads 75 of 84 tokens, not: cat a cat") == 1
    assert "120/120" in said and "121/120" not in said


def test_whatever_is_too_long_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    long = "a cat " * 42
    assert generate(tmp_path, TINY, "a", "--to", long, "--negative-prompt", long, "--batch", "2") == 0
    said = capsys.readouterr().err
    for option in ("--to", "--negative-prompt"):
        assert f"note: the model reads 75 of 84 tokens of {option}, not: cat a cat" in said


def test_earlier_pictures_stay(tmp_path: Path):
    assert generate(tmp_path, TINY, "a red cat") == 0
    first = pictures(tmp_path)
    (tmp_path / "out/041-7.png").write_bytes((tmp_path / "out/000-7.png").read_bytes())
    assert generate(tmp_path, TINY, "two dogs") == 0
    made = pictures(tmp_path)
    assert list(made) == ["000-7.png", "041-7.png", "042-7.png"]
    assert np.array_equal(made["000-7.png"], first["000-7.png"])
    assert not np.array_equal(made["000-7.png"], made["042-7.png"])


def test_emoji_and_chinese_are_read_as_on_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    shutil.copy(EMOJI_128.with_suffix(SUFFIX), tmp_path / f"tiny{SUFFIX}")
    (tmp_path / "prompts.txt").write_text("一只猫 麒麟臂\n🍎🍎\na blorb\n")
    assert generate(tmp_path, TINY, f"@{tmp_path / 'prompts.txt'}") == 0
    assert [read_png(path)[0].prompt for path in sorted((tmp_path / "out").glob("*.png"))] == [
        "a cat",
        "two red apples",
        "a blorb",
    ]
    said = capsys.readouterr().err
    assert "note: 一只猫 麒麟臂 is read as: a cat\nnote: the model does not know: 麒麟臂\n" in said
    assert "note: 🍎🍎 is read as: two red apples\n" in said and "note: the model does not know: blorb\n" in said

    for way in (["一只猫", "--to", "两只狗"], ["a cat", "--to", "two dogs"]):
        assert generate(tmp_path, TINY, *way, "--batch", "2") == 0
    made = pictures(tmp_path)
    assert all(np.array_equal(made[f"003-{k}.png"], made[f"004-{k}.png"]) for k in range(2))


def test_a_full_memory_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Pipeline, "decode", Mock(side_effect=OutOfMemory("out of memory while decoding")))
    assert generate(tmp_path, TINY, "a cat") == 2
    assert capsys.readouterr().err.endswith("error: out of memory while decoding\n")


def test_a_runtime_that_fails_leaves_the_rest_to_torch(
    tmp_path: Path, pipe: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """The second prompt begins again, and its file says who drew it."""
    (tmp_path / "prompts.txt").write_text("a cat\na dog\n")
    real = TorchRuntime.unet

    class Failing(TorchRuntime):
        name = "failing"
        calls = 0

        def unet(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
            self.calls += 1
            if self.calls == 4:
                raise RuntimeFailed("it broke")
            return real(self, x, t, context)

    loaded = load(tiny_checkpoint(tmp_path), dtype="float32", runtime="torch")
    monkeypatch.setattr("ldm_core.load", lambda *_: loaded.with_runtime(Failing(loaded.model)))
    assert generate(tmp_path, TINY, f"@{tmp_path / 'prompts.txt'}") == 0
    assert [record.message for record in caplog.records] == ["it broke; the picture starts again on torch"]
    runtimes = [read_png(path)[1]["runtime"] for path in sorted((tmp_path / "out").glob("*.png"))]
    assert runtimes == ["failing", "torch"]
    dog = loaded.generate("a dog", steps=2)[0]
    assert np.array_equal(pictures(tmp_path)["001-7.png"], dog)


def test_prompts_from_a_file_of_any_encoding(tmp_path: Path):
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "prompts.txt").write_bytes("a red apple\n\nein größerer Apfel\n".encode(encoding))
        folder = tmp_path / encoding
        folder.mkdir()
        assert generate(folder, TINY, f"@{tmp_path / 'prompts.txt'}") == 0
        assert list(pictures(folder)) == ["000-7.png", "001-7.png"]


def test_a_bad_prompt_of_a_file_is_said_before_the_first_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "prompts.txt").write_text("a cat\na (dog:1000)\n")
    assert generate(tmp_path, TINY, f"@{tmp_path / 'prompts.txt'}") == 2
    assert "a prompt weight must lie in" in capsys.readouterr().err and not pictures(tmp_path)


def test_a_prompt_may_begin_with_an_at(tmp_path: Path):
    assert generate(tmp_path, TINY, "@@home") == 0
    pipe = load(tmp_path / "tiny.safetensors", dtype="float32")
    assert np.array_equal(pictures(tmp_path)["000-7.png"], pipe.generate("@home", steps=2, guidance_scale=5.0)[0])


def test_the_command_line_says_what_the_network_predicts(tmp_path: Path):
    for name in ("eps", "v"):
        (tmp_path / name).mkdir()
        assert generate(tmp_path / name, TINY, "a", "--parameterization", name) == 0
    assert not np.array_equal(pictures(tmp_path / "eps")["000-7.png"], pictures(tmp_path / "v")["000-7.png"])
