"""The real gradio_client on the page's one endpoint; tests/app/test_start.py has its pictures."""

from __future__ import annotations

import re

from gradio_client import Client

from tests.app.serving import Served


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
