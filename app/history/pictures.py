"""The index of finished pictures, whose they are, and how much of them is kept."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from app.engine import Job
from app.history.database import Database
from app.history.journal import Journal
from app.logs import reason
from app.schemas import GeneratedImage, RequestError
from app.settings import Settings

log = logging.getLogger(__name__)
AT_ONCE = 64  # of the oldest pictures that are looked at, and go in one transaction: mostly one makes enough room
FAVOURITES = 0.8  # of everybody's bytes that favourites may take: new pictures have the rest
APART = 1e-6  # seconds between a job's pictures in the history: `before` can go on after any of them
OURS = re.compile(r"\.?.*-\d+-(.{8})\.png(?:(?:\.\d+)?\.part)?")  # app.metadata.file_name; also not written to its end
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


ALL = Filter()


def remove(images: Sequence[GeneratedImage]) -> None:
    """Away with the files of a job that has failed: nobody could ask for them."""
    for image in images:
        with contextlib.suppress(OSError):  # what went wrong first is told
            image.path.unlink(missing_ok=True)


class History:
    """One process's hold on a data folder; methods may be called from any thread."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        """Open or make it. ValueError in one sentence where that cannot be."""
        self.pictures, inputs = folder / "pictures", folder / "inputs"
        for made in (self.pictures, inputs):
            made.mkdir(parents=True, exist_ok=True)
        self._settings, self._db = settings, Database(folder)
        self.link_key = self._db.secret("links")  # signs addresses of pictures, which thus outlive the process
        self.journal = Journal(self._db, inputs)
        self._sweep()

    def close(self) -> None:
        """Let the folder go, in good order."""
        self.journal.close()
        self._db.close()

    def check_room(self, client: str) -> None:
        """RequestError where favourites alone, this client's or everybody's, fill the history."""
        for most, whose in ((self._settings.client_share, client), (self._settings.history_bytes, None)):
            if self._bytes(whose, favourites=True) >= most:
                raise RequestError("history_full" if whose is None else "client_history_full")

    def finish(self, job: Job, images: Sequence[GeneratedImage], model: str) -> None:
        """A job's pictures are on disk. Where that cannot be written down they go again."""
        try:
            self._note(job, images, model)
        except Exception:
            remove(images)
            raise
        try:
            self.journal.settle(job.id)
            self._make_fit(job.client, keep=job.id)
        except Exception as error:  # the pictures are there: the job is done
            log.warning("old pictures and inputs could not be deleted: %s", reason(error))

    def owner(self, name: str) -> str | None:
        """Whose picture a file is."""
        found = self._db.read("SELECT client FROM images WHERE name = ?", name)
        return found[0][0] if found else None

    def images(self, client: str, wanted: Filter = ALL, most: int = 100) -> list[Record]:
        """A client's pictures, newest first."""
        where, values = wanted.where(client)
        rows = self._db.read(f"{SELECT}{where} ORDER BY created DESC, name LIMIT ?", *values, most)
        return [_record(row) for row in rows]

    def models(self, client: str) -> list[str]:
        """The models that a client's pictures were made by, in alphabetical order."""
        rows = self._db.read("SELECT DISTINCT model FROM images WHERE client = ? ORDER BY model", client)
        return [name for (name,) in rows]

    def images_of(self, job_id: str, client: str) -> list[Record]:
        """A client's own job's pictures in the order of their seeds."""
        rows = self._db.read(SELECT + "WHERE job = ? AND client = ? ORDER BY seed", job_id, client)
        return [_record(row) for row in rows]

    def favourites(self, client: str, names: Sequence[str]) -> dict[str, bool]:
        """Which of these pictures a client has, and whether each is a favourite."""
        sql = "SELECT name, favourite FROM images WHERE client = ? AND name IN (SELECT value FROM json_each(?))"
        return {name: bool(favourite) for name, favourite in self._db.read(sql, client, json.dumps(names))}

    def favour(self, name: str, client: str, favourite: bool) -> bool:
        """Mark a client's own picture, which is then never deleted for room; False where there is none.

        RequestError where favourites would take more than this client's part, or too much of everybody's.
        """
        if favourite:
            self._check_favourite(name, client)
        with self._db.write() as db:
            sql = "UPDATE images SET favourite = ? WHERE name = ? AND client = ?"
            return db.execute(sql, (favourite, name, client)).rowcount > 0

    def delete(self, name: str, client: str) -> bool:
        """Delete a client's own picture with its file; False where there is none."""
        with self._db.write() as db:
            gone = db.execute("DELETE FROM images WHERE name = ? AND client = ?", (name, client)).rowcount > 0
        if gone:
            (self.pictures / name).unlink(missing_ok=True)
        return gone

    def trim(self) -> None:
        """Delete what is too old, then the oldest that are no favourites until each client's and all pictures fit."""
        oldest, deleted = time.time() - self._settings.history_days * 86400, 0
        sql = "SELECT name FROM images WHERE favourite = 0 AND created < ? LIMIT ?"
        while old := self._db.read(sql, oldest, AT_ONCE):
            deleted += self._delete([name for (name,) in old])
        self.journal.trim(oldest)
        share, everybody = self._settings.client_share, "SELECT client, SUM(bytes) AS size FROM images GROUP BY client"
        for client, size in self._db.read(f"{everybody} HAVING size > ?", share):
            deleted += self._delete_oldest(size - share, "", client)
        deleted += self._delete_oldest(self._bytes() - self._settings.history_bytes, "")
        if deleted:
            log.info("old pictures deleted: %d", deleted)

    # -- below -----------------------------------------------------------------------------------------------------

    def _check_favourite(self, name: str, client: str) -> None:
        sql = "SELECT bytes FROM images WHERE name = ? AND client = ? AND favourite = 0"
        for (size,) in self._db.read(sql, name, client):
            if self._bytes(client, favourites=True) + size > self._settings.client_share:
                raise RequestError("client_history_full")
            if self._bytes(favourites=True) + size > FAVOURITES * self._settings.history_bytes:
                raise RequestError("history_full")

    def _note(self, job: Job, images: Sequence[GeneratedImage], model: str) -> None:
        """A row each picture, and the job's end, at once."""
        now = time.time()
        with self._db.write() as db:
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

    def _sweep(self) -> None:
        """Remove what a killed process left of jobs that were not done; what the journal does not know of stays."""
        known = {name for (name,) in self._db.read("SELECT name FROM images")}
        undone = {job_id[:8] for (job_id,) in self._db.read("SELECT id FROM jobs WHERE state != 'done'")}
        for path in self.pictures.iterdir():
            ours = OURS.fullmatch(path.name)
            if ours is not None and ours[1] in undone and path.name not in known:
                path.unlink(missing_ok=True)
        self.journal.sweep()

    def _bytes(self, client: str | None = None, favourites: bool = False) -> int:
        """Bytes of a client's or everybody's pictures, or of favourites alone."""
        sql, values = _of("SELECT COALESCE(SUM(bytes), 0) FROM images WHERE favourite >= ?", client)
        [[size]] = self._db.read(sql, int(favourites), *values)
        return int(size)

    def _make_fit(self, client: str, keep: str) -> None:
        """Delete the oldest of a client, then of everybody, that are more than may be kept; never the job `keep`'s."""
        self._delete_oldest(self._bytes(client) - self._settings.client_share, keep, client)
        self._delete_oldest(self._bytes() - self._settings.history_bytes, keep)

    def _delete_oldest(self, over: int, keep: str, client: str | None = None) -> int:
        """Delete a client's or anybody's oldest that are no favourites until `over` bytes are gone; how many."""
        sql, values = _of("SELECT name, bytes FROM images WHERE favourite = 0 AND job != ?", client)
        deleted = 0
        while over > 0 and (oldest := self._db.read(f"{sql} ORDER BY created LIMIT {AT_ONCE}", keep, *values)):
            names = []
            for name, size in oldest:
                if over > 0:
                    names.append(name)
                    over -= size
            deleted += self._delete(names)
        return deleted

    def _delete(self, names: Sequence[str]) -> int:
        """Delete those of these pictures that are no favourites by now, in one transaction, then their files."""
        sql = "DELETE FROM images WHERE favourite = 0 AND name IN (SELECT value FROM json_each(?)) RETURNING name"
        with self._db.write() as db:
            gone = db.execute(sql, (json.dumps(names),)).fetchall()
        for (name,) in gone:
            (self.pictures / name).unlink(missing_ok=True)
        return len(gone)


def _of(sql: str, client: str | None) -> tuple[str, list[object]]:
    """SQL for one client's rows, by the index, or for everybody's; and the values of its further blanks."""
    return (sql, []) if client is None else (f"{sql} AND client = ?", [client])


def _record(row: tuple[Any, ...]) -> Record:
    named = dict(zip((f.name for f in fields(Record)), row, strict=True))
    return Record(**{**named, "favourite": bool(named["favourite"])})
