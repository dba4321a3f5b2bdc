"""The paths that docs/architecture.md describes are walked by functions of those names, in at most ten steps each."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text(encoding="utf-8")
PATHS = {  # section → the last step's function
    "The path of a picture": "write_png",
    "The path of a job": "watch",
    "Training": "export",
}


def steps(section: str) -> list[str]:
    """The dotted names that begin the rows of a section's table."""
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `((?:ldm_core|app)\.[\w.]+)` \|", text, re.MULTILINE)


def resolve(name: str) -> Any:
    parts = name.split(".")
    for k in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:k]))
        except ModuleNotFoundError:
            continue
        for part in parts[k:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("section", PATHS)
def test_each_step_has_a_function_of_its_name(section: str):
    names = steps(section)
    assert 5 <= len(names) <= 10
    assert names[-1].endswith(PATHS[section])
    assert all(callable(resolve(name)) for name in names)


def test_a_name_that_is_gone_is_noticed():
    with pytest.raises(AttributeError):
        resolve("ldm_core.sampling.Query")
