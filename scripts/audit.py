"""The installed packages among known vulnerabilities: `python -m scripts.audit`, behind `make audit`.

pip-audit ends well where its data cannot be reached, and calls every package one that is not on the package index.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

UNREACHED = "make audit: the data on vulnerabilities could not be reached, so nothing is known of {0} of {1} packages."


def faults(report: dict[str, Any]) -> list[str]:
    """What pip-audit's JSON says is wrong, a line each; packages of a local version (torch's +cpu) are on no index."""
    packages = report["dependencies"]
    found = [
        f"{package['name']} {package['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'none'}"
        for package in packages
        for flaw in package.get("vulns", ())
    ]
    unknown = [p["name"] for p in packages if "+" not in p.get("skip_reason", "+")]
    return [*found, *([UNREACHED.format(len(unknown), len(packages))] if unknown else [])]


def main() -> int:
    """1 where a package is known to be vulnerable, and where that could not be asked."""
    asked = subprocess.run(("pip-audit", "--format=json", "--progress-spinner=off"), capture_output=True, text=True)
    try:
        report = json.loads(asked.stdout)
    except ValueError:
        reason = (asked.stderr.strip().splitlines() or ["no answer"])[-1]
        print(f"make audit: the data on vulnerabilities could not be reached: {reason}", file=sys.stderr)
        return 1
    lines = faults(report)
    print("\n".join(lines or ["No known vulnerabilities."]), file=sys.stderr if lines else sys.stdout)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
