"""Shared results: thirty visitors are one job, and a failed one is tried again."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.labs.common.shared_results import SharedResults
from app.schemas import RequestError


class CountingService:
    """Answers after a moment, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked, self._lock = 0, threading.Lock()

    def run_work(self, work: Any) -> Any:
        with self._lock:
            self.asked += 1
        time.sleep(0.05)
        return work(None)


def test_thirty_visitors_are_one_job():
    service = CountingService()
    results = SharedResults(service)  # type: ignore[arg-type]
    with ThreadPoolExecutor(30) as visitors:
        answers = list(visitors.map(lambda _: results.get("a", lambda pipe: object()), range(30)))  # type: ignore[arg-type]
    assert service.asked == 1
    assert all(answer is answers[0] for answer in answers)


def test_a_failure_is_said_and_not_kept():
    results = SharedResults(CountingService())  # type: ignore[arg-type]

    def refuse(pipe: Any) -> Any:
        raise RequestError("still_loading")

    with pytest.raises(RequestError):
        results.get("a", refuse)
    assert results.get("a", lambda pipe: 5) == 5  # type: ignore[arg-type, return-value]
