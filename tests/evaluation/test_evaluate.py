"""The verb from end to end: a judge trained on made-up drawings, a tiny model, table, JSON and sheets."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ldm_core
from ldm_core.__main__ import main
from ldm_core.checkpoint.judge import load_judge
from ldm_core.data.kinds import heldout_captions
from ldm_core.evaluation.evaluate import evaluate
from ldm_core.evaluation.pictures import PictureMaker, contact_sheet
from ldm_core.evaluation.reconstruction import closeness, lpips_distance
from ldm_core.evaluation.settings import PART_SEEDS, EvaluationSettings, part_seed
from ldm_core.training.common.loop import make_accelerator
from ldm_core.training.common.settings import LoopSettings
from ldm_core.training.judge.task import JudgeTask, JudgeTraining, augment
from tests.evaluation.made_up import make_corpus
from tests.tiny import tiny_checkpoint

SMALL = ["side=16", "widths=[4,8,8]", "embed=8", "loop.batch=8", "loop.log_every=1", "loop.max_steps=3"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LATENT_LAB_RUNS", str(tmp_path / "runs"))
    make_corpus(tmp_path / "corpus")
    tiny_checkpoint(tmp_path)
    return tmp_path


def test_from_drawings_to_metrics(home: Path, capsys: pytest.CaptureFixture[str]):
    corpus = ["--corpus", str(home / "corpus")]
    assert main(["train", "judge", "--name", "judge-1", *corpus, *SMALL]) == 0
    judge, _ = load_judge(home / "runs/judge-1/judge.safetensors")
    assert judge.config.side == 16 and "cat" in judge.config.words and "man" not in judge.config.words

    asked = ["evaluate", str(home / "tiny.safetensors"), *corpus, "--quick", "3", "--steps", "2"]
    assert main([*asked, "--lpips-trunk", "off", "--out", str(home / "a")]) == 0
    printed = capsys.readouterr().out
    assert "retrieval top-1" in printed and "real drawings" in printed
    found = json.loads((home / "a/evaluation.json").read_text())
    named = {f["name"]: f for f in found["figures"]}
    for name in ("PSNR, dB", "SSIM"):
        assert f"autoencoder {name}" in named
    for name in (
        "retrieval top-5",
        "unseen pairs top-5",
        "KID × 1000",
        "background colour",
        "skin tone",
        "diversity over seeds",
        "bare names top-1",
        "paraphrases nearest in text space",
        "paraphrases as pictures, top-1",
        "their concepts' names as pictures, top-1",
        "nearest training drawing, features: near-copies",
        "nearest training drawing, pixels: near-copies",
    ):
        assert name in named
    assert named["background colour"]["real"] == 1.0 and named["background colour"]["n"] == 33
    assert [row["name"] for row in found["details"]["names"]["names"]] == ["cat", "dog"]
    assert named["skin tone"]["real"] == 1.0 and named["skin tone"]["n"] == 5
    sheets = {path.stem for path in (home / "a").glob("*.png")}
    assert sheets == {"autoencoder", "heldout", "backgrounds", "tones", "seeds", "names", "paraphrases"}
    assert Image.open(home / "a/heldout.png").mode == "RGB"

    assert main([*asked, "--lpips-trunk", "off", "--batch", "2", "--out", str(home / "b")]) == 0
    again = json.loads((home / "b/evaluation.json").read_text())
    for one, two in zip(found["figures"], again["figures"], strict=True):
        assert one["name"] == two["name"] and one["value"] == pytest.approx(two["value"], abs=0.02, rel=1e-3)


def test_colours_and_reconstructions_need_no_judge(home: Path, capsys: pytest.CaptureFixture[str]):
    asked = ["evaluate", str(home / "tiny.safetensors"), "--corpus", str(home / "corpus"), "--quick", "2"]
    no_judge = [
        "--heldout",
        "0",
        "--prompts",
        "0",
        "--names",
        "0",
        "--paraphrases",
        "0",
        "--steps",
        "1",
        "--lpips-trunk",
        "off",
    ]
    assert main([*asked, *no_judge, "--out", str(home / "c")]) == 0
    assert "no judge asked" in capsys.readouterr().out
    found = json.loads((home / "c/evaluation.json").read_text())
    assert found["judge_sha256"] is None
    assert set(found["details"]) == {"autoencoder", "backgrounds", "tones"}


@pytest.mark.parametrize("sampler", ["ddim", "heun", "dpmpp_2m", "euler_a"])
def test_pictures_are_those_of_the_pipeline(home: Path, sampler: str):
    pipe = ldm_core.load(home / "tiny.safetensors", "cpu", "float32")
    settings = EvaluationSettings(sampler=sampler, steps=3, batch=2)
    made = PictureMaker(pipe, settings, lambda what, more: None).generate("pictures", ["cat", "dog", "cat"], 5)
    for i, prompt in enumerate(["cat", "dog", "cat"]):
        alone = pipe.generate(prompt, steps=3, sampler=sampler, seed=5 + i)[0]
        assert np.abs(made[i].astype(int) - alone.astype(int)).max() <= 1


def test_what_is_missing_is_one_sentence(home: Path, capsys: pytest.CaptureFixture[str]):
    weights = str(home / "tiny.safetensors")
    assert main(["evaluate", weights, "--corpus", str(home / "corpus")]) == 2
    assert main(["evaluate", weights, "--judge", weights, "--corpus", str(home / "corpus")]) == 2
    assert main(["evaluate", weights, "--heldout", "-1"]) == 2
    asked = ["--heldout", "0", "--prompts", "0", "--names", "0", "--paraphrases", "0", "--sampler", "magic"]
    assert main(["evaluate", weights, "--corpus", str(home / "corpus"), *asked]) == 2
    error = capsys.readouterr().err
    assert "there is no judge" in error and "tiny.safetensors is no judge" in error and "heldout" in error
    assert "sampler must be one of ddim" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("guidance_scale", float("nan"), "guidance_scale must be a finite number, not nan"),
        ("guidance_scale", 1e6, "guidance_scale must lie in -50…50"),
        ("sampler", "magic", "sampler must be one of ddim"),
        ("seed", -1, "seed must lie in 0…"),
        ("seed", 2**70, "seed must lie in 0…"),
        ("seed", 5000, "seed must be at most 4000"),
        ("steps", 0, "steps must be at least 1, not 0"),
        ("steps", 2.5, "steps must be a whole number"),
        ("batch", 0, "batch must be at least 1, not 0"),
        ("heldout", -1, "heldout must be a whole number of at least 0, not -1"),
        ("heldout", 1.5, "heldout must be a whole number of at least 0, not 1.5"),
        ("compose", True, "compose must be a whole number of at least 0, not True"),
        ("lpips_net", "magic", "lpips_net must be alex"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_loaded(setting: str, value: object, said: str):
    with pytest.raises(ValueError, match=said):
        EvaluationSettings(**{setting: value})  # type: ignore[arg-type]


def test_a_judge_learns_to_name_what_it_has_not_seen(home: Path):
    from ldm_core.data.corpus import Corpus

    corpus = Corpus(home / "corpus")
    loop = LoopSettings(batch=24, lr=1e-2, seed=1, ema_decay=0.5)
    settings = JudgeTraining(loop, widths=(8, 16, 16), embed=16, side=16)
    task = JudgeTask(settings, corpus, make_accelerator("no"))
    first = task.validate(0)
    for step in range(30):
        task.step(step)
    last = task.validate(30)
    assert last["val/top1"] >= 0.6 > first["val/top1"] and len(heldout_captions(corpus)) == 5


def test_augmentation_keeps_hues_and_repeats():
    picture = torch.tensor([0.6, -0.2, -0.6]).view(1, 3, 1, 1).expand(32, 3, 16, 16)
    one, two = (augment(picture, JudgeTraining(), np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(one, two) and one.shape == picture.shape
    assert (one[:, 0] > one[:, 1]).all() and (one[:, 1] > one[:, 2]).all()
    assert float(one[:, 0].std()) > 0.05


def test_pictures_are_composited_at_the_judges_size(home: Path):
    from ldm_core.data.corpus import Corpus
    from ldm_core.evaluation.pictures import composite_rows, resize
    from ldm_core.images import to_tensor

    corpus = Corpus(home / "corpus")
    task = JudgeTask(JudgeTraining(widths=(4, 8), side=16), corpus, make_accelerator("no"))
    rows = np.array([0, 7, 22])
    ours = task.pictures(rows, np.full((3, 3), 255, np.uint8))
    assert torch.allclose(ours, to_tensor(resize(composite_rows(corpus, rows), 16)), atol=2 / 255)


def test_closeness_of_a_picture_to_itself_and_to_noise():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (2, 64, 64, 3), np.uint8)
    distance, called = lpips_distance("alex", "random")
    same, other = closeness(a, a, distance), closeness(a, 255 - a, distance)
    assert same["lpips"] == pytest.approx(0, abs=1e-6) and same["ssim"] == pytest.approx(1) and same["psnr"] > 100
    assert other["lpips"] > 0 and other["psnr"] < 10 and "random" in called
    assert closeness(a, 255 - a, lpips_distance("alex", "random")[0])["lpips"] == pytest.approx(other["lpips"])
    assert lpips_distance("alex", "off")[0] is None


def test_sheets_and_counts():
    series = [np.full((5, 8, 8, 3), value, np.uint8) for value in (10, 200)]
    picture = contact_sheet(series, 3, 4)
    assert picture.shape == (16, 12, 3)
    assert picture[0, 0, 0] == 10 and picture[4, 0, 0] == 200 and picture[8, 11, 0] == 255
    default = EvaluationSettings()
    assert default.pictures == 320 + 88 + 75 + 72 + 200 + 200
    assert default.limited(2).pictures == 2 + 22 + 10 + 4 + 2 + 4 and default.limited(2).steps == 25


def test_no_two_parts_share_a_pictures_seed():
    assert part_seed(0, "tones") == 20_000_000  # of the measured figures
    parts = [part for part in PART_SEEDS if part != "composing"]  # which runs alone
    for seed in (0, 1, 10, 20, 4000):
        first = sorted(part_seed(seed, part) for part in parts)
        assert min(b - a for a, b in pairwise(first)) >= 1_000_000


def test_composing_without_a_judge_is_refused(home: Path):
    from ldm_core.data.corpus import Corpus

    pipe, corpus = ldm_core.load(home / "tiny.safetensors", "cpu", "float32"), Corpus(home / "corpus")
    with pytest.raises(ValueError, match="composing need a judge"):
        evaluate(pipe, None, corpus, EvaluationSettings().composing_only(1), lambda what, more: None)
