"""What the repository promises about its own files."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REQUIREMENTS = sorted(ROOT.glob("requirements*.txt"))
MACHINE_PATH = re.compile(rb"(?<![\w.$}])/(?:work|root|home|Users)/[\w.]")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: Path) -> dict[str, str]:
    lines = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    found = [line.partition("==") for line in lines if line and not line.startswith("-")]
    assert all(separator for _, separator, _ in found), f"{path.name} holds a requirement that is not pinned"
    return {normal(name): version.partition(";")[0] for name, _, version in found}


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    result = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if result.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in result.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_tracked_files_stay_within_60_mib(tracked: list[Path]) -> None:
    assert sum(path.stat().st_size for path in tracked) <= 60 * 2**20


def test_no_file_names_a_machine_path(tracked: list[Path]) -> None:
    named = {path.name: match.group() for path in tracked if (match := MACHINE_PATH.search(path.read_bytes()))}
    assert not named


def test_every_requirement_is_pinned_once_and_says_why() -> None:
    constraints = pins(ROOT / "constraints.txt")
    seen: dict[str, str] = {}
    for path in REQUIREMENTS:
        here = pins(path)
        assert not here.keys() & seen.keys()
        assert not here.keys() & constraints.keys(), "a direct requirement is pinned where its reason stands"
        seen |= here
        for line in path.read_text().splitlines():
            assert line.startswith(("#", "-")) or re.search(r"\s# \w", line), f"{path.name}: no reason in {line!r}"


def test_pins_are_what_is_installed() -> None:
    """The environment under test is the one the files describe."""
    from importlib.metadata import version

    wanted = {name: pin for path in REQUIREMENTS for name, pin in pins(path).items()}
    installed = {name: version(name).partition("+")[0] for name in wanted}
    assert installed == wanted


def test_what_requirements_bring_along_is_pinned() -> None:
    """Else two installs of one commit differ. torch pins its CUDA packages itself, and pip is there before."""
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    pinned = set[str]().union(*(pins(path) for path in (*REQUIREMENTS, ROOT / "constraints.txt")))
    texts = [line.partition("#")[0].strip() for path in REQUIREMENTS for line in path.read_text().splitlines()]
    todo = [Requirement(text) for text in texts if text and not text.startswith("-")]
    seen: set[tuple[str, str]] = set()
    while todo:
        wanted = todo.pop()
        for extra in ("", *wanted.extras):
            if (wanted.name, extra) not in seen:
                seen.add((wanted.name, extra))
                brought = [Requirement(text) for text in requires(wanted.name) or ()]
                todo += [one for one in brought if one.marker is None or one.marker.evaluate({"extra": extra})]
    names = {normal(name) for name, _ in seen}
    assert not [n for n in names - pinned if not n.startswith(("nvidia-", "cuda-")) and n not in ("triton", "pip")]


def test_pictures_are_opened_in_one_module(tracked: list[Path]) -> None:
    """Foreign files are bounded there; another `Image.open` would take any format and size."""
    code = [path for path in tracked if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in ("app", "ldm_core")]
    opening = {str(path.relative_to(ROOT)) for path in code if "Image.open(" in path.read_text(encoding="utf-8")}
    assert opening == {"ldm_core/images.py"}
