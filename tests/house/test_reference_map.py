"""Every place and every test that docs/reference-map.md names is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"^\| (R\d\d) \| (.+) \| (.+) \|$", (ROOT / "docs/reference-map.md").read_text(), re.MULTILINE)


def defined(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Each name that is defined within `node`, an attribute of self too, with what defines it."""
    for child in ast.walk(node):
        if child is not node and isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield child.name, child
        elif isinstance(child, ast.Name | ast.Attribute) and isinstance(child.ctx, ast.Store):
            yield child.id if isinstance(child, ast.Name) else child.attr, child


def is_there(path: Path, name: str) -> bool:
    """Whether a Python file defines the dotted name, part within part, or another file has it as a key."""
    if path.suffix != ".py":
        return re.search(rf"^{re.escape(name)} = ", path.read_text(), re.MULTILINE) is not None
    node: ast.AST | None = ast.parse(path.read_text(encoding="utf-8"))
    for part in name.split("."):
        node = node and dict(defined(node)).get(part)
    return node is not None


def test_every_row_is_mapped() -> None:
    assert [row for row, _, _ in ROWS] == [f"R{k:02}" for k in range(1, 59)]


@pytest.mark.parametrize(("row", "where", "proof"), ROWS)
def test_what_a_row_names_is_there(row: str, where: str, proof: str) -> None:
    places = re.findall(r"([\w./-]+\.\w+):([\w.]+)", where)
    proofs = re.findall(r"([\w./-]+\.py)::(\w+)", proof)
    assert places and proofs
    assert not [f"{path}:{name}" for path, name in [*places, *proofs] if not is_there(ROOT / path, name)]


def test_a_method_is_looked_for_in_its_class() -> None:
    path = ROOT / "ldm_core/diffusion/schedule.py"
    assert is_there(path, "NoiseSchedule.buffers")
    assert not is_there(path, "Schedule.buffers") and not is_there(path, "make_beta_schedule.buffers")
