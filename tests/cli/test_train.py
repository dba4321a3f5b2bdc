"""The whole path on the command line, tiny: autoencoder, latents, diffusion, one weights file."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import ldm_core
from ldm_core import presets
from ldm_core.__main__ import main
from ldm_core.checkpoint.judge import load_judge
from ldm_core.checkpoint.load import load_model
from ldm_core.models.autoencoder import AutoencoderKL
from tests.tiny import tiny_checkpoint, tiny_model

OWN_WORDS = replace(presets.TINY, name="own-words", text=replace(presets.TINY.text, vocab=6144))  # type: ignore[type-var]
LOOP = ["loop.batch=2", "loop.log_every=1", "loop.max_steps=2"]


def test_from_corpus_to_weights_file(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(home))
    corpus, latents = ["--corpus", str(home / "corpus")], ["--latents", str(home / "latents")]
    first = ["preset=TINY", "crop=16", "loss.perceptual_trunk=", "loss.disc_ndf=4", *LOOP]
    assert main(["train", "autoencoder", "--name", "ae", *corpus, *first]) == 0
    assert main(["train", "cache-latents", "--autoencoder", "ae", "--preset", "TINY", *corpus, *latents]) == 0
    parts = ["--autoencoder", "ae", "--text", "words", *latents]
    small = ["preset=TINY", "sample_steps=2", 'prompts=["a"]', *LOOP]
    assert main(["train", "diffusion", "--name", "d", *parts, *corpus, *small]) == 0
    assert main(["train", "export", *parts, "--diffusion", "d", "--out=~/tiny.safetensors"]) == 0
    assert load_model(home / "tiny.safetensors").config.parameterization == "v"
    assert "scale factor" in capsys.readouterr().out

    # its own checkpoints gone, a run starts from the weights file, which also stands in for the frozen parts
    file = str(home / "tiny.safetensors")
    assert main(["train", "export", *parts, "--diffusion", file, "--out=~/tiny2.safetensors"]) == 2
    assert (
        capsys.readouterr().err
        == f"error: {file} is a weights file; --diffusion takes runs, whose averages are exported\n"
    )
    again = ["--autoencoder", file, "--text", file, *latents, "--init", file]
    assert main(["train", "diffusion", "--name", "d2", *again, *corpus, *small]) == 0
    assert main(["train", "autoencoder", "--name", "ae2", "--init", file, *corpus, *first]) == 0


@pytest.fixture
def exporting(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`train export` of a run "d" of a model with the shipped tokenizer; its frozen parts are a weights file's."""
    monkeypatch.setitem(presets.PRESETS, "OWN_WORDS", OWN_WORDS)
    unet = tiny_model(OWN_WORDS).model.state_dict()
    (home / "runs/d").mkdir()
    state = {"step": 1, "seconds": 60.0, "averages": {}, "networks": {"model": unet}}
    torch.save(state, home / "runs/d/state.pt")
    (home / "runs/d/config.json").write_text(json.dumps({"preset": "OWN_WORDS", "parameterization": "v"}))
    parts = str(tiny_checkpoint(home, OWN_WORDS))
    return ["train", "export", "--autoencoder", parts, "--text", parts, "--diffusion", "d"]


def test_what_is_exported_opens(exporting: list[str], home: Path, capsys: pytest.CaptureFixture[str]):
    out = home / "made/model.safetensors"
    assert main([*exporting, "--out", str(out)]) == 0
    assert ldm_core.load(out).generate("a red apple", steps=1).shape == (1, 32, 32, 3)
    (out.parent / "tokenizer/merges.txt").write_text("#version: 0.2\n")
    assert main([*exporting, "--out", str(out)]) == 2
    assert "is another model's tokenizer; write into a folder of its own" in capsys.readouterr().err


def test_runs_of_another_kind_are_refused_in_a_sentence(
    exporting: list[str], home: Path, capsys: pytest.CaptureFixture[str]
):
    first = AutoencoderKL(presets.TINY.first_stage).state_dict()
    (home / "runs/ae").mkdir()
    state = {"step": 1, "seconds": 60.0, "averages": {}, "networks": {"first_stage_model": first}}
    torch.save(state, home / "runs/ae/state.pt")
    (home / "runs/ae/config.json").write_text(json.dumps({"preset": "TINY"}))
    shutil.copytree(home / "runs/d", home / "runs/eps")
    (home / "runs/eps/config.json").write_text(json.dumps({"preset": "OWN_WORDS", "parameterization": "eps"}))
    export, corpus = [*exporting, "--out", str(home / "out.safetensors")], ["--corpus", str(home / "corpus")]
    for arguments, said in (
        ([*export, "--diffusion", "ae"], "runs/ae is no diffusion run"),
        ([*export, "--diffusion", "d", "eps"], "('OWN_WORDS', 'eps') is not ('OWN_WORDS', 'v')"),
        ([*export, "--text", "ae"], "runs/ae is a run of another part: it trained first_stage_model, no 'clip'"),
        ([*export, "--autoencoder", "words"], "it trained clip, no 'first_stage_model'"),
        (["train", "cache-latents", "--autoencoder", "ae", *corpus], "weights of another geometry under 'first_stage"),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert said in error and len(error.splitlines()) == 1


def test_mistakes_are_one_sentence(home: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["train", "cache-latents", "--autoencoder", "nope", "--corpus", str(home / "corpus")]) == 2
    assert main(["train", "cache-latents", "--autoencoder", "nope", "--corpus", str(home / "nowhere")]) == 2
    assert main(["train", "autoencoder", "--name", "x", "--corpus", str(home / "corpus"), "loop.lr=-1"]) == 2
    error = capsys.readouterr().err
    assert "nope" in error and "no corpus in" in error and "lr must be above 0" in error and "Traceback" not in error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--name", "../x"], "is no path"),
        (["--name", "x", "--minutes", "-1"], "minutes must be above 0"),
        (["--name", "x", "--minutes", "0"], "minutes must be above 0"),
        (["--name", "x", "--minutes", "nan"], "minutes must be a finite number"),
        (["--name", "x", "--config", "/dev/zero"], "not a regular file"),
        (["--name", "x", "loop.seed=" + "[" * 5000], "loop.seed is nested too deeply: [[["),
        (["--name", "x", "--config=~nobody9/x"], "there is no home folder for ~nobody9/x"),
        (["--name", "x", "preset=EMOJI"], "no preset is called 'EMOJI'; there are SD_V1, EMOJI_128, "),
        (["--name", "x", "crop=15"], "crop must be a multiple of 8 pixels, not 15"),
    ],
)
def test_names_and_times_that_cannot_be(
    arguments: list[str], said: str, home: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["train", "autoencoder", *arguments, "--corpus", str(home / "corpus")]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["autoencoder", "--name", "x", "validation=0"], "validation must be at least 1, not 0"),
        (["diffusion", "--name", "x", "--autoencoder", "x", "validation=0"], "validation must be at least 1, not 0"),
        (["cache-scenes", "--autoencoder", "x", "--last", "1", "validation=0"], "validation must be at least 1, not 0"),
        (["binding", "--name", "x", "validated=0"], "validated must be at least 1, not 0"),
        (["autoencoder", "--name", "x"], "corpus has no held-out drawings to validate on"),
        (["judge", "--name", "x"], "corpus has no held-out drawings to validate on"),
    ],
)
def test_a_run_with_nothing_to_validate_on_does_not_begin(
    arguments: list[str], said: str, home: Path, capsys: pytest.CaptureFixture[str]
):
    index = home / "corpus/index.tsv"
    index.write_text(index.read_text().replace("heldout", "train"))
    assert main(["train", *arguments, "--corpus", str(home / "corpus")]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1


def test_scenes_in_no_steps(capsys: pytest.CaptureFixture[str]):
    assert main(["train", "cache-scenes", "--autoencoder", "x", "--last", "3", "--every", "0"]) == 2
    assert capsys.readouterr().err == "error: --every must be at least 1, not 0\n"


def test_a_judge_leaves_its_file(home: Path):
    small = ["widths=[4, 8]", "side=16", "embed=8", *LOOP]
    assert main(["train", "judge", "--name", "j", "--corpus", str(home / "corpus"), *small]) == 0
    judge, _ = load_judge(home / "runs/j/judge.safetensors")
    assert judge.config.styles == ("noto style",)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["binding"], "binding needs --init WEIGHTS"),
        (["text", "keep=1.0"], "keep needs --init WEIGHTS"),
        (["autoencoder", "--config", "configs/decoder.toml"], "a decoder-only run needs --init WEIGHTS"),
    ],
)
def test_runs_that_need_weights_to_begin_with_say_so(
    arguments: list[str], said: str, home: Path, capsys: pytest.CaptureFixture[str]
):
    part, *rest = arguments
    assert main(["train", part, "--name", "x", *rest, "--corpus", str(home / "corpus")]) == 2
    assert said in capsys.readouterr().err
    assert not (home / "runs/x").exists()
