"""Where `make benchmark` puts its tables: between a pair of comments of a page in docs/."""

from __future__ import annotations

from pathlib import Path

from ldm_core.devices import has_bf16


def write(report: Path, section: str, text: str) -> None:
    """Put text between the report's markers of that section; ValueError where it has none."""
    before, begin, rest = report.read_text(encoding="utf-8").partition(f"<!-- {section}: written by make benchmark -->")
    _, end, after = rest.partition("<!-- end -->")
    if not begin or not end:
        raise ValueError(f"{report.name} has no place for {section}")
    report.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def precision() -> str:
    """What benchmarks compute in unless told: bfloat16 where this processor has instructions for it."""
    return "bfloat16" if has_bf16() else "float32"
