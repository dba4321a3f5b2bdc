"""Links that open a lab with values of its controls: `?lab=schedules&state={"t":400}`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

RENAMED = {"bounds": "lower_bound", "grid": "xy_plot", "lessons": "overview"}  # links of 0.1.0 still open


def lab_link(lab: str, state: Mapping[str, Any], lang: str) -> str:
    """The query that opens a lab with these values, in the page's language."""
    return f"?lab={lab}&state={quote(json.dumps(dict(state)))}&lang={lang}"


def read_link(query: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The key of the lab that a query names ("" for none) and the values it sets; damaged ones are none."""
    lab = query.get("lab", "")
    try:
        state = json.loads(query.get("state", "{}"))
    except (ValueError, RecursionError):  # RecursionError: brackets without end
        state = {}
    return RENAMED.get(lab, lab), state if isinstance(state, dict) else {}
