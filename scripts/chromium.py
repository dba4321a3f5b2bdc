"""Print the path of a Chromium for the browser tests, installing one where that is possible.

Exits 0 with nothing printed where there is none: the tests that need it are then reported as skipped.
"""

from __future__ import annotations

import os
import shutil
import sys

from scripts.environment import Run, apt_install, run

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = "no Chromium: install chromium or google-chrome, or name one in $CHROMIUM; browser tests will be skipped"


def find() -> str | None:
    """Path of the browser named in `$CHROMIUM`, else of the first known name on the path, else None."""
    return next((path for name in (os.environ.get("CHROMIUM"), *NAMES) if name and (path := shutil.which(name))), None)


def main(run: Run = run) -> int:
    path = find()
    # the font draws the Chinese page: Chromium brings none, and screenshots would show boxes
    if path is None and apt_install(["chromium", "fonts-droid-fallback"], run):
        path = find()
    print(path or MISSING, file=sys.stdout if path else sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
