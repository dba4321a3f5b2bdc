"""The journal of accepted jobs and the index of finished pictures: one SQLite file beside the pictures.

Accepted means journaled: the row is on disk (WAL, synchronous=FULL) before the answer leaves. A job that was under way
when the process died runs again once, with the same seed and the same names of files, so that nothing is there twice.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from app.engine import Job
from app.schemas import GeneratedImage, RequestError
from app.settings import Settings
from ldm_core.images import Pixels
from ldm_core.sampling import SamplingParams

VERSION = 2  # of the schema, kept as user_version
TRIES = 2  # runs a job gets in all
APART = 1e-6  # seconds between a job's pictures in the history: `before` can go on after any of them
SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, client TEXT NOT NULL, user TEXT NOT NULL, request TEXT NOT NULL,
    state TEXT NOT NULL, tries INTEGER NOT NULL, message TEXT, created REAL NOT NULL, model TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS images (
    name TEXT PRIMARY KEY, job TEXT NOT NULL, client TEXT NOT NULL, prompt TEXT NOT NULL, model TEXT NOT NULL,
    seed INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, bytes INTEGER NOT NULL,
    favourite INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL);
CREATE INDEX IF NOT EXISTS images_of ON images (client, created);
"""
SELECT = "SELECT name, job, prompt, model, seed, width, height, favourite, created FROM images "


@dataclass(frozen=True)
class Record:
    """A finished picture as the history lists it; `created` is seconds since 1970."""

    name: str
    job: str
    prompt: str
    model: str
    seed: int
    width: int
    height: int
    favourite: bool
    created: float


@dataclass(frozen=True)
class Filter:
    """Which of a client's pictures are asked for; every field left alone asks for all."""

    search: str = ""  # a part of the prompt
    model: str = ""
    since: float = 0.0  # made at or after this second since 1970
    before: float | None = None  # and before this one: the last one's `created` goes on from there
    favourites: bool = False  # those alone

    def where(self, client: str) -> tuple[str, list[object]]:
        """SQL's condition, and the values of its blanks."""
        sql, values = "WHERE client = ? AND created >= ?", [client, self.since]
        for condition, value in (("created < ?", self.before), ("model = ?", self.model or None)):
            if value is not None:
                sql, values = f"{sql} AND {condition}", [*values, value]
        if self.search:
            sql, values = f"{sql} AND instr(lower(prompt), lower(?))", [*values, self.search]
        return f"{sql} AND favourite >= {int(self.favourites)}", values


@dataclass(frozen=True)
class JobRecord:
    """A job as the journal knows it; `state` is accepted, done, failed, cancelled or interrupted."""

    id: str
    request: dict[str, Any]
    state: str
    message: str | None


ALL = Filter()


class History:
    """One process's hold on a data folder; methods may be called from any thread."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        """Open or make it. ValueError in one sentence where another process has it or it is a later version's."""
        self.pictures, self._inputs = folder / "pictures", folder / "inputs"
        for made in (self.pictures, self._inputs):
            made.mkdir(parents=True, exist_ok=True)
        self._settings = settings
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(folder / "history.sqlite", check_same_thread=False, timeout=1.0)
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            [known] = self._db.execute("PRAGMA user_version").fetchone()
            if known > VERSION:
                raise ValueError(f"{folder} was written by a later version of this program")
            if known == 1:
                self._db.execute("ALTER TABLE jobs ADD COLUMN model TEXT NOT NULL DEFAULT ''")
            self._db.executescript(f"BEGIN IMMEDIATE;{SCHEMA}PRAGMA user_version={VERSION};COMMIT;")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                hint = f"{folder} is used by another process; give this one a folder of its own with --data-dir"
                raise ValueError(hint) from None
            raise ValueError(f"{folder} cannot be used: {error}") from None
        self.trim()

    def close(self) -> None:
        """Let the folder go. An orderly end is no run that a job had."""
        with self._lock:
            with self._db:
                self._db.execute("UPDATE jobs SET tries = tries - 1 WHERE state = 'accepted'")
            self._db.close()

    # -- the journal -----------------------------------------------------------------------------------------------

    def check_room(self, client: str) -> None:
        """RequestError where favourites alone, this client's or everybody's, fill the history."""
        for most, whose in ((self._settings.client_history_bytes, client), (self._settings.history_bytes, None)):
            if self._bytes(whose, favourites=True) >= most:
                raise RequestError("history_full" if whose is None else "client_history_full")

    def accept(self, job: Job) -> None:
        """Write a job and its inputs down; RequestError where that cannot be, on a full disk say."""
        row = (job.id, job.client, job.user, json.dumps(job.request.to_dict()), time.time(), job.model)
        try:
            for name, pixels in (("init", job.init_image), ("mask", job.mask)):
                if pixels is not None:
                    with self._input(job.id, name).open("wb") as file:
                        Image.fromarray(pixels).save(file, format="PNG")
                        file.flush()
                        os.fsync(file.fileno())  # the row must not outlive what it needs
            with self._write() as db:
                db.execute("INSERT INTO jobs VALUES (?, ?, ?, ?, 'accepted', 1, NULL, ?, ?)", row)
        except (OSError, sqlite3.Error) as error:
            self._forget_inputs(job.id)
            raise RequestError("not_kept", reason=getattr(error, "strerror", None) or str(error)) from None

    def finish(self, job: Job, images: Sequence[GeneratedImage], model: str) -> None:
        """A job's pictures are on disk."""
        now = time.time()
        with self._write() as db:
            for k, image in enumerate(images):
                db.execute(
                    "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
                    (
                        image.path.name,
                        job.id,
                        job.client,
                        job.request.prompt,
                        model,
                        image.seed,
                        image.width,
                        image.height,
                        image.path.stat().st_size,
                        now - k * APART,
                    ),
                )
            db.execute("UPDATE jobs SET state = 'done' WHERE id = ?", (job.id,))
        self._forget_inputs(job.id)
        self._make_fit(job.client, keep=job.id)

    def end(self, job_id: str, state: str, message: str | None = None) -> None:
        """A job has ended without pictures."""
        with self._write() as db:
            db.execute(
                "UPDATE jobs SET state = ?, message = ? WHERE id = ? AND state = 'accepted'", (state, message, job_id)
            )
        self._forget_inputs(job_id)

    def refuse(self, job_id: str) -> None:
        """A job was written down and then refused: nobody has been told of it."""
        with self._write() as db:
            db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))
        self._forget_inputs(job_id)

    def unfinished(self, said: str) -> list[Job]:
        """Jobs that were under way when the last process ended, to run again once; after that they end as `said`."""
        jobs = []
        with self._write() as db:
            rows = db.execute(
                "SELECT id, client, user, request, tries, model FROM jobs WHERE state = 'accepted' ORDER BY created"
            ).fetchall()
            for job_id, client, user, request, tries, model in rows:
                if tries >= TRIES:
                    db.execute("UPDATE jobs SET state = 'interrupted', message = ? WHERE id = ?", (said, job_id))
                    self._forget_inputs(job_id)
                    continue
                try:
                    pictures = self._read_input(job_id, "init"), self._read_input(job_id, "mask")
                    wanted = SamplingParams.from_dict(json.loads(request))
                except (OSError, ValueError, SyntaxError) as error:  # damaged on the disk: this job alone cannot run
                    db.execute("UPDATE jobs SET state = 'failed', message = ? WHERE id = ?", (f"{error}", job_id))
                    continue
                db.execute("UPDATE jobs SET tries = tries + 1 WHERE id = ?", (job_id,))
                jobs.append(Job(wanted, *pictures, model=model, client=client, user=user, id=job_id, durable=True))
        return jobs

    def job(self, job_id: str, client: str) -> JobRecord | None:
        """A client's own job, also one of an earlier process."""
        found = self._read("SELECT id, request, state, message FROM jobs WHERE id = ? AND client = ?", job_id, client)
        return JobRecord(found[0][0], json.loads(found[0][1]), *found[0][2:]) if found else None

    def begins(self, start: str, client: str) -> str | None:
        """The id of a client's own job that begins so."""
        sql = "SELECT id FROM jobs WHERE id >= ? AND id < ? AND client = ?"
        found = self._read(sql, start, start + "g", client)  # ids are hexadecimal
        return found[0][0] if found else None

    # -- pictures --------------------------------------------------------------------------------------------------

    def owner(self, name: str) -> str | None:
        """Whose picture a file is."""
        found = self._read("SELECT client FROM images WHERE name = ?", name)
        return found[0][0] if found else None

    def images(self, client: str, wanted: Filter = ALL, most: int = 100) -> list[Record]:
        """A client's pictures, newest first."""
        where, values = wanted.where(client)
        rows = self._read(f"{SELECT}{where} ORDER BY created DESC, name LIMIT ?", *values, most)
        return [_record(row) for row in rows]

    def models(self, client: str) -> list[str]:
        """The models that a client's pictures were made by, in alphabetical order."""
        rows = self._read("SELECT DISTINCT model FROM images WHERE client = ? ORDER BY model", client)
        return [name for (name,) in rows]

    def images_of(self, job_id: str, client: str) -> list[Record]:
        """A client's own job's pictures in the order of their seeds."""
        rows = self._read(SELECT + "WHERE job = ? AND client = ? ORDER BY seed", job_id, client)
        return [_record(row) for row in rows]

    def favour(self, name: str, client: str, favourite: bool) -> bool:
        """Mark a client's own picture, which is then never deleted for room; False where there is none."""
        with self._write() as db:
            sql = "UPDATE images SET favourite = ? WHERE name = ? AND client = ?"
            return db.execute(sql, (favourite, name, client)).rowcount > 0

    def delete(self, name: str, client: str) -> bool:
        """Delete a client's own picture with its file; False where there is none."""
        with self._write() as db:
            gone = db.execute("DELETE FROM images WHERE name = ? AND client = ?", (name, client)).rowcount > 0
        if gone:
            (self.pictures / name).unlink(missing_ok=True)
        return gone

    def trim(self) -> None:
        """Delete what is too old, then the oldest that are no favourites until each client's and all pictures fit."""
        oldest = time.time() - self._settings.history_days * 86400
        for name, client in self._read("SELECT name, client FROM images WHERE favourite = 0 AND created < ?", oldest):
            self.delete(name, client)
        with self._write() as db:
            db.execute("DELETE FROM jobs WHERE state != 'accepted' AND created < ?", (oldest,))
        for (client,) in self._read("SELECT DISTINCT client FROM images"):
            self._make_fit(client)

    # -- below -----------------------------------------------------------------------------------------------------

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._db:
            yield self._db

    def _read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def _bytes(self, client: str | None = None, favourites: bool = False) -> int:
        """Bytes of a client's or everybody's pictures, or of favourites alone."""
        sql, values = _of("SELECT COALESCE(SUM(bytes), 0) FROM images WHERE favourite >= ?", client)
        [[size]] = self._read(sql, int(favourites), *values)
        return int(size)

    def _make_fit(self, client: str, keep: str = "") -> None:
        """Delete the oldest of a client, then of everybody, that are more than may be kept; never the job `keep`'s."""
        self._delete_oldest(self._bytes(client) - self._settings.client_history_bytes, keep, client)
        self._delete_oldest(self._bytes() - self._settings.history_bytes, keep)

    def _delete_oldest(self, over: int, keep: str, client: str | None = None) -> None:
        """Delete a client's or anybody's oldest that are no favourites until `over` bytes are gone."""
        if over <= 0:
            return
        sql, values = _of("SELECT name, client, bytes FROM images WHERE favourite = 0 AND job != ?", client)
        for name, whose, size in self._read(f"{sql} ORDER BY created", keep, *values):
            self.delete(name, whose)
            over -= size
            if over <= 0:
                return

    def _input(self, job_id: str, name: str) -> Path:
        return self._inputs / f"{job_id}-{name}.png"

    def _read_input(self, job_id: str, name: str) -> Pixels | None:
        path = self._input(job_id, name)
        if not path.exists():
            return None
        with Image.open(path) as image:
            return np.asarray(image)

    def _forget_inputs(self, job_id: str) -> None:
        for name in ("init", "mask"):
            self._input(job_id, name).unlink(missing_ok=True)


def _of(sql: str, client: str | None) -> tuple[str, list[object]]:
    """SQL for one client's rows, by the index, or for everybody's; and the values of its further blanks."""
    return (sql, []) if client is None else (f"{sql} AND client = ?", [client])


def _record(row: tuple[Any, ...]) -> Record:
    named = dict(zip((f.name for f in fields(Record)), row, strict=True))
    return Record(**{**named, "favourite": bool(named["favourite"])})
