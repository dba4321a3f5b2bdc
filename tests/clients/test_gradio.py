"""The real gradio_client on the page's one endpoint."""

from __future__ import annotations

from pathlib import Path

from gradio_client import Client

from app.metadata import read_png
from tests.app.serving import Served


def test_gradio_client(served: Served, tmp_path: Path) -> None:
    served.wait_for_page()
    client = Client(served.url, download_files=str(tmp_path), verbose=False)
    file, info = client.predict("a red apple", steps=2, seed=5, api_name="/generate")
    assert info["request"]["seed"] == 5 and read_png(Path(file))[0].seed == 5
