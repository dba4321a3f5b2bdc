"""The journal of accepted jobs, and the pictures they start from.

Accepted means journaled: the row is on the disk before the answer leaves. A job that was under way when the process
died runs again once, with the same seed and the same names of files, so that nothing is there twice. One that only
waited has lost nothing: `tries` counts the runs that have begun.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from app.engine import Job, Requester
from app.history.database import Database
from app.i18n import Sentence
from app.schemas import RequestError
from ldm_core.images import Pixels, own_picture
from ldm_core.sampling import SamplingParams

TRIES = 2  # runs a job gets in all
CLIENT_ENDED, ENDED = 2_000, 20_000  # ended jobs that are remembered, of one client and of everybody: some 16 kB each
TRIM_EVERY = 256  # accepted jobs between two looks at how many there are
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobRecord:
    """A job as the journal knows it; `state` is accepted, done, failed, cancelled or interrupted."""

    id: str
    request: dict[str, Any]
    state: str
    message: str | None


class Journal:
    """Jobs by id; methods may be called from any thread."""

    def __init__(self, db: Database, inputs: Path) -> None:
        """`inputs` is the folder of the pictures that jobs start from."""
        self._db, self._inputs = db, inputs
        self._accepted = 0  # by this process
        self._under_way: set[str] = set()  # ids of jobs whose run a crash would now end

    def accept(self, job: Job) -> None:
        """Write a job and its inputs down; RequestError where that cannot be, on a full disk say."""
        row = (
            job.id,
            job.client,
            job.user,
            json.dumps(job.request.to_dict(), ensure_ascii=False),
            time.time(),
            job.model,
        )
        try:
            for name, pixels in (("init", job.init_image), ("mask", job.mask)):
                if pixels is not None:
                    with self._input(job.id, name).open("wb") as file:
                        Image.fromarray(pixels).save(file, format="PNG")
                        file.flush()
                        os.fsync(file.fileno())  # the row must not outlive what it needs
            with self._db.write() as db:
                db.execute("INSERT INTO jobs VALUES (?, ?, ?, ?, 'accepted', 0, NULL, ?, ?)", row)
                self._accepted += 1
                if self._accepted % TRIM_EVERY == 0:
                    _forget_most(db)
        except (OSError, sqlite3.Error) as error:
            self.settle(job.id)
            raise RequestError("not_kept", reason=getattr(error, "strerror", None) or str(error)) from None

    def end(self, job_id: str, state: str, message: str | None = None) -> None:
        """A job has ended without pictures."""
        with self._db.write() as db:
            db.execute(
                "UPDATE jobs SET state = ?, message = ? WHERE id = ? AND state = 'accepted'", (state, message, job_id)
            )
        self.settle(job_id)

    def refuse(self, job_id: str) -> None:
        """A job was written down and then refused: nobody has been told of it."""
        with self._db.write() as db:
            db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))
        self.settle(job_id)

    def unfinished(self, said: str) -> list[Job]:
        """Jobs that an earlier process has left, to run again; those that have had their runs end as `said`."""
        jobs = []
        with self._db.write() as db:
            rows = db.execute(
                "SELECT id, client, user, request, tries, model FROM jobs WHERE state = 'accepted' ORDER BY created"
            ).fetchall()
            for job_id, client, user, request, tries, model in rows:
                if tries >= TRIES:
                    db.execute("UPDATE jobs SET state = 'interrupted', message = ? WHERE id = ?", (said, job_id))
                    self.settle(job_id)
                    continue
                try:
                    pictures = self._read_input(job_id, "init"), self._read_input(job_id, "mask")
                    wanted = SamplingParams.from_dict(json.loads(request))
                except (OSError, ValueError, SyntaxError) as error:  # damaged on the disk: this job alone cannot run
                    log.warning("job %s cannot be read again: %s", job_id, error)
                    message = str(Sentence("job_damaged"))
                    db.execute("UPDATE jobs SET state = 'failed', message = ? WHERE id = ?", (message, job_id))
                    self.settle(job_id)
                    continue
                requester = Requester(client, user=user, durable=True, job_id=job_id)
                jobs.append(Job(wanted, *pictures, model=model, requester=requester))
        return jobs

    def begin(self, job_id: str) -> None:
        """A job's run begins. Written down first, since the job itself may be what ends the process; not synced, since
        the engine's thread waits for it, as it does for the lock while another thread's writing is synced.
        """
        with self._db.write(synced=False) as db:
            db.execute("UPDATE jobs SET tries = tries + 1 WHERE id = ?", (job_id,))
        self._under_way.add(job_id)

    def count_runs(self) -> None:
        """What is under way has had its run, however orderly the process ends."""
        self._under_way.clear()

    def close(self) -> None:
        """The process ends in good order: what was under way has had no run."""
        with self._db.write() as db:
            rows = [(job_id,) for job_id in self._under_way]
            db.executemany("UPDATE jobs SET tries = tries - 1 WHERE id = ? AND state = 'accepted'", rows)

    def job(self, job_id: str, client: str) -> JobRecord | None:
        """A client's own job, also one of an earlier process."""
        sql = "SELECT id, request, state, message FROM jobs WHERE id = ? AND client = ?"
        found = self._db.read(sql, job_id, client)
        return JobRecord(found[0][0], json.loads(found[0][1]), *found[0][2:]) if found else None

    def begins(self, start: str, client: str) -> str | None:
        """The id of a client's own job that begins so."""
        sql = "SELECT id FROM jobs WHERE id >= ? AND id < ? AND client = ?"
        found = self._db.read(sql, start, start + "g", client)  # ids are hexadecimal
        return found[0][0] if found else None

    def trim(self, oldest: float) -> None:
        """Forget jobs that have ended: those accepted before this second since 1970, and all but the newest."""
        with self._db.write() as db:
            db.execute("DELETE FROM jobs WHERE state != 'accepted' AND created < ?", (oldest,))
            _forget_most(db)

    def sweep(self) -> None:
        """Remove inputs of jobs that have ended or were never written down, where the process ended at that moment."""
        accepted = {job_id for (job_id,) in self._db.read("SELECT id FROM jobs WHERE state = 'accepted'")}
        for path in self._inputs.glob("*-*.png"):
            if path.stem.rpartition("-")[0] not in accepted:
                path.unlink(missing_ok=True)

    def settle(self, job_id: str) -> None:
        """A job runs no more: delete the pictures it starts from."""
        self._under_way.discard(job_id)
        for name in ("init", "mask"):
            self._input(job_id, name).unlink(missing_ok=True)

    def _input(self, job_id: str, name: str) -> Path:
        return self._inputs / f"{job_id}-{name}.png"

    def _read_input(self, job_id: str, name: str) -> Pixels | None:
        path = self._input(job_id, name)
        if not path.exists():
            return None
        with own_picture(path) as image:
            return np.asarray(image)


def _forget_most(db: sqlite3.Connection) -> None:
    """Forget all but the newest ended jobs of each client, and of everybody."""
    db.execute(
        """DELETE FROM jobs WHERE id IN (SELECT id FROM (
            SELECT id, row_number() OVER (PARTITION BY client ORDER BY created DESC) AS mine,
                row_number() OVER (ORDER BY created DESC) AS place FROM jobs WHERE state != 'accepted')
            WHERE mine > ? OR place > ?)""",
        (CLIENT_ENDED, ENDED),
    )
