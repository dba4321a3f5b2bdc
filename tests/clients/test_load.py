"""Eight clients at once, for seconds: `benchmarks/load.py` asks so for minutes, and a peer with it."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from benchmarks.load import measure
from tests.app.serving import serve
from tests.tiny import tiny_checkpoint


@pytest.mark.slow
def test_eight_at_once_all_get_their_pictures_and_as_many(tmp_path: Path) -> None:
    options = ("--weights", str(tiny_checkpoint(tmp_path)), "--device", "cpu", "--data-dir", "")
    with serve(tmp_path, *options, env={"OMP_NUM_THREADS": "1"}) as server:
        server.wait("/readyz")
        measure(server.url, 2, 3, 8)
        load = measure(server.url, 8, 10, 8)
    counts = [len(mine) for mine in load.seconds]
    assert load.lost == 0
    assert min(counts) >= 3
    assert max(counts) - min(counts) <= max(2, 0.5 * min(counts)), "each gets about as many"
    assert load.sorted_seconds[int(0.95 * (len(load.sorted_seconds) - 1))] <= 3 * statistics.median(load.sorted_seconds)
