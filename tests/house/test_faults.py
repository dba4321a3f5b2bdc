"""docs/faults.md names a test for every kind of fault; each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def test_every_row_names_tests_that_exist() -> None:
    text = (ROOT / "docs/faults.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    kinds = [row for row in rows if not row.startswith(("| kind", "|---"))]
    assert len(kinds) > 20
    for row in kinds:
        named = NAMED.findall(row.rsplit("|", 2)[-2])
        assert named, f"no test in: {row}"
        for file, test in named:
            text = (ROOT / file).read_text(encoding="utf-8")
            assert not test or re.search(rf"^(?:async )?def {test}\(", text, re.MULTILINE), f"{file} has no {test}"
