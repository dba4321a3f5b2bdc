"""A small storm: vanishing clients, cancels, rubbish and a kill -9; benchmarks/chaos.py is the large one."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.chaos import storm


@pytest.mark.slow
def test_every_accepted_job_is_accounted_for_once(tmp_path: Path):
    lines = list(storm(tmp_path, jobs=24, clients=4, kills=1))
    assert lines[1].startswith("24 jobs")
