"""Every function that an explanation names exists: `source=` in the labs' plots, and code names in their words."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from app.i18n import words
from app.labs.lower_bound.weights import SCHEDULE
from app.labs.schedules.curves import QUANTITIES

LABS = Path("app/labs")
WRITTEN = r'source="((?:ldm_core|app|torch)\.[\w.]+)"'
SOURCES = sorted(
    {name for path in LABS.rglob("*.py") for name in re.findall(WRITTEN, path.read_text())}
    | {f"ldm_core.diffusion.schedule.{quantity.source}" for quantity in QUANTITIES.values()}
    | {f"{SCHEDULE}.lvlb_weights"}
)


def find(name: str) -> object:
    """The thing of this dotted name: the longest importable module, then its attributes."""
    parts = re.sub(r"\(.*", "", name).split(".")
    for k in range(len(parts) - 1, 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:k]))
        except ModuleNotFoundError:
            continue
        for part in parts[k:]:
            found = getattr(found, part, None) or found.__dataclass_fields__[part]  # type: ignore[attr-defined]
        return found
    raise AssertionError(f"no module of {name}")


@pytest.mark.parametrize("name", SOURCES)
def test_a_plots_source_exists(name: str):
    assert find(name) is not None


def test_sources_are_found():
    assert len(SOURCES) > 15
    with pytest.raises((AssertionError, AttributeError, KeyError)):
        find("ldm_core.diffusion.schedule.Schedule.grid")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_modules_named_in_words_exist(lang: str):
    for key, text in words(lang).items():
        for name in re.findall(r"`((?:ldm_core|app)\.[\w.]+)`", text):
            assert find(name) is not None, (key, name)
