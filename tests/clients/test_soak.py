"""A short soak: memory, threads and files stay where they were; benchmarks/soak.py is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak import grown, soak
from tests.tiny import tiny_checkpoint


@pytest.mark.slow
def test_a_busy_server_stays_the_size_it_is(tmp_path: Path):
    looks = list(soak(tmp_path, tiny_checkpoint(tmp_path), clients=8, seconds=80, every=2, pause=0.2))
    memory, threads, files = grown(looks, settled=40)
    assert memory < 0.08 and threads <= 4 and files <= 4, [look.line() for look in looks]
    assert looks[-1].pictures > 20
