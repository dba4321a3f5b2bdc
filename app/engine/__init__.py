"""The engine: jobs and their events, the fair queue, the loop that answers many requests in one network call."""

from app.engine.job import (
    Cancelled,
    Done,
    Event,
    Failed,
    Job,
    Loading,
    Queued,
    Started,
    Stepped,
    Work,
    follow,
    follow_numbered,
    sentence,
)
from app.engine.loop import Engine
from app.engine.queue import QueueFull, Quotas

__all__ = [
    "Cancelled",
    "Done",
    "Engine",
    "Event",
    "Failed",
    "Job",
    "Loading",
    "QueueFull",
    "Queued",
    "Quotas",
    "Started",
    "Stepped",
    "Work",
    "follow",
    "follow_numbered",
    "sentence",
]
