"""The SQLite file in a data folder: opened by one process, brought to this version's schema, safe from any thread."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAME = "history.sqlite"
VERSION = 3  # of the schema, kept as user_version
SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, client TEXT NOT NULL, user TEXT NOT NULL, request TEXT NOT NULL,
    state TEXT NOT NULL, tries INTEGER NOT NULL, message TEXT, created REAL NOT NULL, model TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS images (
    name TEXT PRIMARY KEY, job TEXT NOT NULL, client TEXT NOT NULL, prompt TEXT NOT NULL, model TEXT NOT NULL,
    seed INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, bytes INTEGER NOT NULL,
    favourite INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS images_of ON images (client, created);
CREATE INDEX IF NOT EXISTS images_by_age ON images (created);
"""
UPGRADES = {  # from this version to the next
    1: "ALTER TABLE jobs ADD COLUMN model TEXT NOT NULL DEFAULT '';",
    2: "UPDATE jobs SET tries = MAX(tries - 1, 0);",  # one was counted when a job was accepted
}


class Database:
    """One connection, held for as long as the process lives; in WAL mode: what is written stays."""

    def __init__(self, folder: Path) -> None:
        """Open or make it. ValueError in one sentence where it is another process's, a later version's or damaged."""
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(folder / NAME, check_same_thread=False, timeout=1.0)
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            [known] = self._db.execute("PRAGMA user_version").fetchone()
            if known > VERSION:
                raise ValueError(f"{folder} was written by a later version of this program")
            upgrade = "".join(UPGRADES[version] for version in range(known or VERSION, VERSION))
            self._db.executescript(f"BEGIN IMMEDIATE;{upgrade}{SCHEMA}PRAGMA user_version={VERSION};COMMIT;")
        except sqlite3.DatabaseError as error:
            if "locked" in str(error):
                hint = f"{folder} is used by another process; give this one a folder of its own with --data-dir"
                raise ValueError(hint) from None
            raise ValueError(f"{folder / NAME} cannot be used: {error}") from None

    @contextmanager
    def write(self, synced: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction, on the disk when it ends; if not `synced` it outlives the process, but no power failure."""
        with self._lock:
            self._db.execute(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
            with self._db:
                yield self._db

    def read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of a question."""
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def secret(self, name: str) -> bytes:
        """32 random bytes that the folder keeps by this name."""
        with self.write() as db:
            db.execute("INSERT OR IGNORE INTO secrets VALUES (?, ?)", (name, secrets.token_bytes(32)))
        [(value,)] = self.read("SELECT value FROM secrets WHERE name = ?", name)
        return bytes(value)

    def close(self) -> None:
        """Let the folder go."""
        with self._lock:
            self._db.close()
