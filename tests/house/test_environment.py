"""The scripts behind the Makefile, without installing anything."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts import chromium, environment

ROOT = Path(__file__).parents[2]


class Recorder:
    """Stands in for the commands: makes the folder that venv would, and fails on request."""

    def __init__(self, fail_on: str = "") -> None:
        self.commands: list[Sequence[str]] = []
        self.fail_on = fail_on

    def __call__(self, command: Sequence[str]) -> None:
        self.commands.append(command)
        if "venv" in command:
            (Path(command[-1]) / "bin").mkdir(parents=True)
        if self.fail_on and self.fail_on in command:
            raise subprocess.CalledProcessError(1, command)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    for name in environment.REQUIREMENTS:
        shutil.copy(ROOT / name, folder)
    return folder


def test_second_call_builds_nothing(tmp_path: Path, repository: Path) -> None:
    run = Recorder()
    first = environment.ensure(tmp_path / "envs", repository, "run", "", run)
    assert len(run.commands) == 2  # venv, pip
    assert environment.ensure(tmp_path / "envs", repository, "run", "", run) == first
    assert len(run.commands) == 2


def requirement_files(command: Sequence[str]) -> list[str]:
    return [Path(command[i + 1]).name for i, word in enumerate(command) if word == "-r"]


def test_testing_adds_to_the_environment_that_runs(tmp_path: Path, repository: Path) -> None:
    run = Recorder()
    first = environment.ensure(tmp_path / "envs", repository, "run", "", run)
    assert environment.ensure(tmp_path / "envs", repository, "test", "", run) == first
    assert environment.ensure(tmp_path / "envs", repository, "run", "", run) == first
    assert ["venv" in command for command in run.commands] == [True, False, False]
    assert requirement_files(run.commands[1]) == ["requirements.txt"]
    assert requirement_files(run.commands[2]) == ["requirements.txt", "requirements-train.txt", "requirements-dev.txt"]


def test_half_built_environment_is_built_again(tmp_path: Path, repository: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        environment.ensure(tmp_path / "envs", repository, "run", "", Recorder(fail_on="pip"))
    (left,) = (tmp_path / "envs").glob("env-*")
    (left / "rubbish").touch()
    run = Recorder()
    assert environment.ensure(tmp_path / "envs", repository, "run", "", run) == left
    assert len(run.commands) == 2
    assert not (left / "rubbish").exists()


@pytest.mark.parametrize("name", environment.REQUIREMENTS)
def test_a_changed_pin_is_another_environment(repository: Path, name: str) -> None:
    before = environment.key(repository, "")
    with (repository / name).open("a") as file:
        file.write("# changed\n")
    assert environment.key(repository, "") != before


def test_every_requirement_file_counts() -> None:
    assert {path.name for path in ROOT.glob("requirements*.txt")} < set(environment.REQUIREMENTS)


def test_wheel_index_reaches_pip_and_the_key(tmp_path: Path, repository: Path) -> None:
    run = Recorder()
    url = "https://wheels.invalid/cpu"
    path = environment.ensure(tmp_path, repository, "run", url, run)
    assert run.commands[1][run.commands[1].index("--extra-index-url") + 1] == url
    assert path.name != f"env-{environment.key(repository, '')}"


def browsers(folder: Path, *names: str) -> str:
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return str(folder)


def test_chromium_is_found_by_any_of_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", browsers(tmp_path, "google-chrome"))
    assert chromium.find() == str(tmp_path / "google-chrome")
    browsers(tmp_path, "chromium")
    assert chromium.find() == str(tmp_path / "chromium")
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "google-chrome"))
    assert chromium.find() == str(tmp_path / "google-chrome")


def test_missing_chromium_is_said_and_does_not_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert chromium.main(Recorder()) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "browser tests will be skipped" in printed.err


@pytest.mark.parametrize("user", [0, 1000])
def test_chromium_is_installed_only_by_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", browsers(tmp_path, "apt-get"))
    monkeypatch.setattr("os.geteuid", lambda: user)
    run = Recorder()
    chromium.main(run)
    assert [command[1] for command in run.commands] == (["update", "install"] if user == 0 else [])


def test_failed_installation_counts_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", browsers(tmp_path, "apt-get"))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert chromium.main(Recorder(fail_on="update")) == 0
    assert chromium.MISSING in capsys.readouterr().err


@pytest.mark.parametrize(("target", "expected"), [("demo", "demo/sd_demo/app.py --port 1"), ("test", '-m "not slow"')])
def test_make_passes_arguments_to_the_shared_environment(target: str, expected: str) -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make")
    command = [make, "--no-print-directory", "-n", target, "ARGS=--port 1", f"PYTHON={sys.executable}"]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"{sys.executable} -m scripts.environment --for {'run' if target == 'demo' else 'test'}" in output
    assert expected in output
    assert output.rstrip().endswith("--port 1")
