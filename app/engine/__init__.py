"""The engine: jobs and their events, the fair queue, the loop that answers many requests in one network call."""

from app.engine.job import (
    Cancelled,
    Done,
    End,
    Event,
    Failed,
    Interrupted,
    Job,
    Loading,
    Queued,
    Requester,
    Started,
    Stepped,
    Work,
    follow,
    sentence,
)
from app.engine.loop import Engine
from app.engine.queue import QueueFull, Quotas

__all__ = [
    "Cancelled",
    "Done",
    "End",
    "Engine",
    "Event",
    "Failed",
    "Interrupted",
    "Job",
    "Loading",
    "QueueFull",
    "Queued",
    "Quotas",
    "Requester",
    "Started",
    "Stepped",
    "Work",
    "follow",
    "sentence",
]
