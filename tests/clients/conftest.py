"""One real server with small random weights for all clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.app.serving import Served, serve
from tests.tiny import tiny_checkpoint

KEY = "sk-test-of-the-clients"


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Keys are `KEY` and `KEY`-2."""
    folder = tmp_path_factory.mktemp("served")
    weights = tiny_checkpoint(folder)
    keys = folder / "keys"
    keys.write_text(f"{KEY}  # for the tests\n{KEY}-2\n")
    options = ("--weights", str(weights), "--device", "cpu", "--api-keys", str(keys))
    with serve(folder, *options, env={"OMP_NUM_THREADS": "1"}) as served:  # two threads of it wait for each other
        served.wait("/readyz")
        yield served
