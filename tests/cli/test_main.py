"""What every verb of the command line has in common."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import Mock

import pytest

from ldm_core.__main__ import VERBS, main
from ldm_core.cli import convert, data, evaluate, generate, train
from ldm_core.data import build


def test_a_home_after_an_equals_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(data, "build", lambda out, *_: (out.mkdir(), (out / "counts.json").write_text("{}")))
    assert main(["data", "emoji", "--out=~/x"]) == 0 and (tmp_path / "x" / "counts.json").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "emoji", "--out=~nobody9/x"],
        ["data", "emoji", "--out", "~nobody9/x"],
        ["inspect", "~nobody9/x"],
        ["generate", "a cat", "--weights", "~nobody9/x"],
    ],
)
def test_a_home_of_nobody_is_one_sentence(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    assert capsys.readouterr().err == "error: there is no home folder for ~nobody9/x\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["data", "emoji", "--out", "x", "--limit", "-1"], "--limit must be at least 1, not -1"),
        (["data", "emoji", "--out", "x", "--limit", "0"], "--limit must be at least 1, not 0"),
        (["convert", "nope", "x"], "there is no file nope"),
        (["evaluate", "nope", "--guidance-scale", "nan"], "guidance_scale must be a finite number, not nan"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"error: {said}\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [(generate, ["a"]), (evaluate, ["x"]), (data, ["emoji", "--out", "x"]), (convert, ["x", "y"])],
)
def test_ctrl_c_ends_in_silence(
    verb: ModuleType, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(verb, "run", Mock(side_effect=KeyboardInterrupt))
    assert main([verb.__name__.rpartition(".")[2], *arguments]) == 130
    assert capsys.readouterr().err == ""


def test_a_loss_that_is_no_number_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(train, "run", Mock(side_effect=FloatingPointError("aeloss is nan at step 3")))
    assert main(["train", "autoencoder", "--name", "x"]) == 2
    assert capsys.readouterr().err == "error: aeloss is nan at step 3\n"


def test_the_renderer_is_missed_before_anything_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    monkeypatch.setattr(build, "fetch", fetch := Mock())
    assert main(["data", "emoji", "--out", str(tmp_path / "corpus")]) == 2
    assert capsys.readouterr().err == "error: this needs resvg_py, which `pip install '.[train]'` brings\n"
    assert not fetch.called


@pytest.mark.parametrize("verb", VERBS)
def test_help_on_an_ascii_terminal(verb: str, monkeypatch: pytest.MonkeyPatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    terminal.flush()
    assert end.value.code == 0 and b"usage: python -m ldm_core" in terminal.buffer.getvalue()  # type: ignore[attr-defined]
