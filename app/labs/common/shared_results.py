"""What the labs show before anybody has asked: computed once for the loaded weights, kept, the same for everybody."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from app.engine import Work
from app.service import Service


class SharedResults:
    """Results by name, held in memory. Whoever asks first starts the one job; all others wait for the same answer."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._results: dict[str, Future[Any]] = {}
        self._lock = threading.Lock()

    def get(self, name: str, work: Work[Any]) -> Any:
        """The result called `name`, computed by `work` if nobody has yet; RequestError where that fails, each time."""
        with self._lock:
            result = self._results.get(name)
            first = result is None
            if result is None:
                result = self._results[name] = Future()
        if first:
            try:
                result.set_result(self._service.run_work(work))
            except BaseException as error:
                with self._lock:
                    del self._results[name]  # the next visitor tries again
                result.set_exception(error)
        return result.result()
