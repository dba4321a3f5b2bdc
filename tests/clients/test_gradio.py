"""The real gradio_client on the page's one endpoint."""

from __future__ import annotations

import re
from pathlib import Path

from gradio_client import Client

from app.metadata import read_png
from tests.app.serving import Served


def test_gradio_client(served: Served, tmp_path: Path) -> None:
    served.wait_for_page()
    client = Client(served.url, download_files=str(tmp_path), verbose=False)
    file, info = client.predict("a red apple", steps=2, seed=5, api_name="/generate")
    assert info["request"]["seed"] == 5 and read_png(Path(file))[0].seed == 5


def test_the_page_s_jobs_are_told_with_the_request_that_asked(served: Served) -> None:
    served.wait_for_page()
    client = Client(served.url, verbose=False)
    for _ in range(2):
        client.predict("a red apple", steps=1, api_name="/generate")
    told = re.findall(r"INFO \[(\w+)\] job (accepted|ended) job=(\w+)", served.log.read_text())
    jobs = list(dict.fromkeys(job for *_, job in told))[-2:]
    of = [{request for request, _, job in told if job == wanted} for wanted in jobs]
    assert [[word for _, word, job in told if job == wanted] for wanted in jobs] == [["accepted", "ended"]] * 2
    assert [len(requests) for requests in of] == [1, 1] and of[0] != of[1]
