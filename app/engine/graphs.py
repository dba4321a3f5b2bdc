"""Makes OpenVINO's graphs of the loaded model while torch makes the pictures."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Callable

from ldm_core.checkpoint import CheckpointError
from ldm_core.pipeline import Pipeline
from ldm_core.runtime import cache, convert
from ldm_core.runtime.base import RuntimeUnavailable
from ldm_core.runtime.choose import Candidate, openvino
from ldm_core.runtime.torch import TorchRuntime

log = logging.getLogger(__name__)
CLOSE_SECONDS = 1.0  # an attempt that is given up ends at its next step; nobody waits longer for it


class GraphMaker:
    """One attempt, in a process of its own at low priority; `ready` is given the same pipeline on OpenVINO."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def start(self, pipe: Pipeline, candidate: Candidate, ready: Callable[[Pipeline], None]) -> None:
        """Begin, unless OpenVINO is out of the question for this model or on this machine."""
        root = cache.cache_root()
        if root is not None and candidate.openvino_unsupported_reason() is None:
            self._process = convert.start(candidate.weights, root)
            args = (self._process, pipe, candidate, ready)  # held by the thread alone: the model is to leave memory
            self._thread = threading.Thread(target=self._run, args=args, name="graphs", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Give up."""
        self._closed.set()
        if self._process is not None and self._thread is not None:
            self._process.kill()
            self._thread.join(timeout=CLOSE_SECONDS)

    def _run(
        self,
        process: subprocess.Popen[str],
        pipe: Pipeline,
        candidate: Candidate,
        ready: Callable[[Pipeline], None],
    ) -> None:
        start = time.monotonic()
        try:
            convert.finish(process)
            if self._closed.is_set():
                return
            reference = TorchRuntime(pipe.model, candidate.threads)
            runtime = openvino(candidate, reference, may_convert=False)
        except (RuntimeUnavailable, CheckpointError) as reason:  # its weights may be gone by now
            if not self._closed.is_set():
                log.warning("torch goes on making the pictures: %s", reason)
            return
        if self._closed.is_set():
            return
        log.info("OpenVINO makes the next pictures; its graphs took %.0f s", time.monotonic() - start)
        ready(pipe.with_runtime(runtime))
