"""Who comes next: every client's jobs in a line of their own, the client that was served least first."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from app.engine.job import Job
from app.schemas import RequestError


class QueueFull(RequestError):
    """Too many jobs wait already, of everybody (`queue_full`), of this client (`client_queue_full`) or of its address
    (`account_queue_full`); or the end has begun (`closing`).
    """


@dataclass(frozen=True)
class Quotas:
    """How many jobs may wait."""

    jobs: int = 256  # of everybody; of one account half as many
    client_jobs: int = 32  # of one client


@dataclass(eq=False)
class Client:
    """One client's line. `served` is the engine's seconds spent on it; who is behind comes first.

    Behind an API key `users` take turns within what the key gets, by the same account, which each has for as long as
    anything of theirs waits or runs.
    """

    name: str
    served: float = 0.0
    waiting: list[Job] = field(default_factory=list)
    running: Counter[str] = field(default_factory=Counter)  # jobs, by user
    users: dict[str, float] = field(default_factory=dict)

    def in_turn(self) -> list[Job]:
        """Its waiting jobs as they will start: those of the user served least first."""
        rounds = Counter[str]()

        def turn(job: Job) -> tuple[int, float]:  # asked once a job, in their order
            rounds[job.user] += 1
            return rounds[job.user], self.users.get(job.user, 0.0)

        return sorted(self.waiting, key=turn)

    @property
    def active(self) -> bool:
        """Whether it has anything here."""
        return bool(self.waiting) or self.running.total() > 0


class FairQueue:
    """Lines of waiting jobs, and the account of what each client has had. Not thread-safe: the engine holds its lock.

    Start-time fair queueing (Goyal et al. 1996) rather than deficit round robin: what a question costs is known only
    after the call it shared with others, so clients are charged afterwards, and the one that has had least is next.
    """

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas
        self._clients: dict[str, Client] = {}

    def __len__(self) -> int:
        return sum(len(client.waiting) for client in self._clients.values())

    def add(self, job: Job, promised: bool = False) -> None:
        """Put a job at the end of its client's line, or raise QueueFull; one that was `promised` always has a place."""
        client = self._clients.get(job.client)
        if len(self) >= self._quotas.jobs and not promised:
            raise QueueFull("queue_full", count=len(self))
        if client is not None and len(client.waiting) >= self._quotas.client_jobs and not promised:
            raise QueueFull("client_queue_full", count=len(client.waiting))
        account = job.requester.account
        if account and (count := self._waiting_of(account)) >= max(1, self._quotas.jobs // 2) and not promised:
            raise QueueFull("account_queue_full", count=count)
        if client is None:  # idle time is not saved up: whoever comes starts level with the one served least
            served = min((c.served for c in self._clients.values()), default=0.0)
            client = self._clients[job.client] = Client(job.client, served)
        client.users.setdefault(job.user, min(client.users.values(), default=0.0))
        client.waiting.append(job)

    def remove(self, job: Job) -> bool:
        """Take a waiting job out; False where it does not wait."""
        client = self._clients.get(job.client)
        if client is None or job not in client.waiting:
            return False
        client.waiting.remove(job)
        self._forget(client, job.user)
        return True

    def order(self) -> Iterator[Client]:
        """Clients, the one served least first."""
        return iter(sorted(self._clients.values(), key=lambda client: client.served))

    def take(self, client: Client, job: Job) -> Job:
        """A job out of a client's line, which runs from now on."""
        client.running[job.user] += 1
        client.waiting.remove(job)
        return job

    def ended(self, job: Job) -> None:
        """A job that was taken runs no more."""
        client = self._clients[job.client]
        client.running[job.user] -= 1
        self._forget(client, job.user)

    def charge(self, job: Job, seconds: float) -> None:
        """The engine has spent `seconds` on this job, and so on its client."""
        if (client := self._clients.get(job.client)) is not None:
            client.served += seconds
            if job.user in client.users:  # not where this was all they had here
                client.users[job.user] += seconds

    def served(self, name: str) -> float:
        """Seconds spent on this client since it came; infinity once it has nothing left here."""
        client = self._clients.get(name)
        return math.inf if client is None else client.served

    def users(self, name: str) -> Mapping[str, float]:
        """Seconds spent on each of a client's users."""
        client = self._clients.get(name)
        return {} if client is None else client.users

    def waiting(self) -> list[Job]:
        """Waiting jobs in the order in which they will start if they all cost the same."""
        lines = [client.in_turn() for client in self.order()]
        longest = max(map(len, lines), default=0)
        return [line[k] for k in range(longest) for line in lines if k < len(line)]

    def _waiting_of(self, account: str) -> int:
        return sum(job.requester.account == account for client in self._clients.values() for job in client.waiting)

    def _forget(self, client: Client, user: str) -> None:
        """Drop the accounts of who has nothing left here, so that whoever comes starts level with those who stay."""
        if not client.running[user] and all(job.user != user for job in client.waiting):
            del client.running[user], client.users[user]
        if not client.active:
            del self._clients[client.name]
