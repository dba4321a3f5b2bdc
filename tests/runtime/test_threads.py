"""Threads that wait for each other sleep: set before torch is imported, by every way in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ldm_core import wait_passively

ROOT = Path(__file__).parents[2]
SAID = "import os; print(os.environ.get('OMP_WAIT_POLICY'))"


@pytest.mark.parametrize(
    "begin",
    [
        "import ldm_core\ntry: ldm_core.load('nowhere.safetensors')\nexcept (OSError, ValueError): pass",
        "import ldm_core.__main__ as m; m.main(['inspect', 'nowhere.safetensors'])",
    ],
    ids=["library", "command line"],
)
def test_set_before_torch_is_imported(begin: str):
    env = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", f"{begin}\n{SAID}"], env=env, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == "PASSIVE"


def test_what_is_set_stays():
    environ = {"OMP_WAIT_POLICY": "ACTIVE"}
    wait_passively(environ)
    assert environ == {"OMP_WAIT_POLICY": "ACTIVE"}
