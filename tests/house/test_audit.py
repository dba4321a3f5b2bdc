"""`make audit` tells a clean bill from no answer."""

from __future__ import annotations

from typing import Any

from scripts.audit import faults

CLEAN: dict[str, Any] = {"name": "anyio", "version": "4.16.0", "vulns": []}
FLAWED = {"name": "pillow", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"], "aliases": []}]}
UNKNOWN = {"name": "attrs", "skip_reason": "Dependency not found on PyPI and could not be audited: attrs (26.1.0)"}
LOCAL = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited: torch (2.14.1+cpu)"}


def test_what_is_not_known_is_no_clean_bill() -> None:
    assert faults({"dependencies": [CLEAN, LOCAL]}) == []
    assert faults({"dependencies": [CLEAN, FLAWED]}) == ["pillow 1.0: PYSEC-1, mended in 1.1"]
    [said] = faults({"dependencies": [CLEAN, UNKNOWN, UNKNOWN]})
    assert said.endswith("could not be reached, so nothing is known of 2 of 3 packages.")
