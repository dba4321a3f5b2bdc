"""What the labs show before anybody has asked: computed once for the loaded weights, kept, the same for everybody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from app.engine import Stepped
from app.service import Service

if TYPE_CHECKING:
    from ldm_core.pipeline import Pipeline

Work = Callable[["Pipeline"], Generator[Stepped, None, Any]]


class SharedResults:
    """Results by name, held in memory. Whoever asks first starts the one job; all others wait for the same answer."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._results: dict[str, Future[Any]] = {}
        self._lock = threading.Lock()

    def get(self, name: str, work: Work) -> Any:
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
