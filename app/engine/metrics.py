"""What the engine counts, in Prometheus' own types."""

from __future__ import annotations

import sys
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from app.engine.job import End
from app.engine.rows import Kind

ROWS = (1, 2, 4, 8, 16, 32, 64)
STATM = Path("/proc/self/statm")  # pages: size, resident, …
SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


def resident_bytes() -> int:
    """This process's memory now; the most there was where only that is told, 0 where nothing is."""
    if sys.platform == "win32":
        return 0
    import resource

    try:
        return int(STATM.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class Metrics:
    """One engine's figures, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.rows = Histogram("latent_lab_rows_per_call", "Rows in one denoising call", buckets=ROWS, registry=r)
        self.tick = Histogram("latent_lab_tick_seconds", "Seconds of one tick", buckets=SECONDS, registry=r)
        self.first_step = Histogram(
            "latent_lab_first_step_seconds", "From submission to the first step", buckets=SECONDS, registry=r
        )
        self.waiting = Gauge("latent_lab_queue_depth", "Jobs that wait", registry=r)
        self.running = Gauge("latent_lab_running_jobs", "Jobs that run", registry=r)
        self.images = Counter("latent_lab_images", "Pictures finished", registry=r)
        self.jobs = Counter("latent_lab_jobs", "Jobs that have ended", ["end"], registry=r)
        self.memory = Gauge("latent_lab_memory_bytes", "Resident memory", registry=r)

    def called(self, kind: Kind, pictures: int, size: int) -> None:
        """A network call about some pictures, `size` rows of its batch, has been answered."""
        if kind == "denoise":
            self.rows.observe(size)
        else:
            self.images.inc(pictures)

    def ended(self, event: End) -> None:
        """A job has had its last event."""
        self.jobs.labels(type(event).__name__.lower()).inc()
