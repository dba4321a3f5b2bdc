"""A wheel holds what the page and the command line need, weights included, and finds it from any folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("app", "ldm_core", "weights", "pyproject.toml", "setup.py", "README.md", "LICENSE")
TEXTS = ("requirements.txt", "requirements-train.txt", "requirements-dev.txt")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Built from a copy: setuptools leaves folders in the tree it builds from."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in (*PARTS, *TEXTS):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tree / name)
    command = [sys.executable, "-m", "pip", "wheel", str(tree), "--no-deps", "--no-build-isolation", "-q"]
    result = subprocess.run([*command, "-w", str(out)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    yield next(out.glob("*.whl"))


def test_every_tracked_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z", "app", "ldm_core", "weights"], cwd=ROOT, capture_output=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    wanted = {
        name.replace("weights/", "latent_lab_weights/", 1) if name.startswith("weights/") else name
        for name in listed.stdout.decode().split("\0")
        if name and (ROOT / name).exists()
    }
    assert wanted <= set(zipfile.ZipFile(wheel).namelist())


def test_an_unpacked_wheel_finds_its_weights_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    (tmp_path / "elsewhere").mkdir()
    code = "import ldm_core.shipped as s; w = s.EMOJI_128; print(w, w.stat().st_size, s.__file__)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "elsewhere",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    path, size, module = result.stdout.split()
    assert path == str(tmp_path / "site/latent_lab_weights/emoji-128.safetensors")
    assert int(size) > 1_000_000
    assert module.startswith(str(tmp_path / "site"))


def test_a_wheel_has_both_commands(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (n for n in archive.namelist() if n.endswith("entry_points.txt"))
    assert archive.read(name).decode().split() == [
        *("[console_scripts]", "latent-lab", "=", "app.server:main"),
        *("ldm", "=", "ldm_core.__main__:main"),
    ]
