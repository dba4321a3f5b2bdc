"""The session's pictures after a reload: what the browser noted, as far as it is true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.ui.picture import in_frame, recall
from ldm_core.metadata import write_png
from ldm_core.sampling import SamplingParams
from tests.app.ui.fake import FakeService


@pytest.fixture
def service(tmp_path: Path) -> Any:
    service = FakeService(tmp_path)
    service.engine.close()
    return service


def test_pictures_come_back_with_what_their_files_say(service: Any) -> None:
    made = SamplingParams("a <cat>", steps=3, seed=5)
    for name in ("a.png", "b.png"):
        write_png(service.outputs / name, np.zeros((8, 16, 3), np.uint8), made, "", "1.0", {"start": "picture"})
    newest, older = ({"file": name, "took": 1.25, "favourite": True} for name in ("a.png", "b.png"))
    kept = {"all": [newest, older], "frame": [newest]}
    everything = recall(service, kept)
    framed = in_frame(kept, everything)
    assert len(everything) == 2 and framed == everything[:1]
    assert framed[0].says("en") == "Seed 5 · 16×8 · Steps 3 · 1.2 s" and framed[0].prompt == "a <cat>"
    assert "picture" in framed[0].travels
    assert framed[0].favourite is None, "no history keeps it here"


@pytest.mark.parametrize(
    "kept",
    [None, 7, [], {}, {"all": 3}, {"all": [None, 7, {}, {"file": 1}, {"file": "../a.png"}, {"file": "gone.png"}]}],
)
def test_whatever_else_a_browser_sends_is_no_picture(service: Any, kept: Any) -> None:
    pictures = recall(service, kept)
    assert pictures == in_frame(kept, pictures) == []


def test_a_damaged_file_is_left_out(service: Any) -> None:
    (service.outputs / "a.png").write_bytes(b"not a picture")
    assert recall(service, {"all": [{"file": "a.png", "took": "<b>"}]}) == []
