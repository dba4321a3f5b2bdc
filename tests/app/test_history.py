"""The journal and the index of pictures."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from app import server
from app.engine import Job, Requester
from app.history import Filter, History, journal
from app.history.database import VERSION
from app.metadata import file_name
from app.schemas import GeneratedImage, RequestError
from app.service import Service
from app.settings import Settings
from ldm_core.files import replacing
from ldm_core.sampling import SamplingParams

SETTINGS = Settings(history_bytes=1000, client_history_bytes=999)


def job(prompt: str = "a red apple", client: str = "me", seed: int = 7, **more: object) -> Job:
    return Job(SamplingParams(prompt, seed=seed), requester=Requester(client, durable=True), **more)  # type: ignore[arg-type]


def done(history: History, made: Job, size: int = 100) -> str:
    path = history.pictures / f"{made.id[:12]}-{made.request.seed}.png"
    path.write_bytes(b"x" * size)
    history.journal.accept(made)
    history.finish(made, [GeneratedImage(path, made.request.seed, 8, 8)], "tiny")
    return path.name


def crash(history: History) -> None:
    """The end of a process that could do nothing more."""
    history._db.close()


def test_accepted_jobs_run_again_once_with_their_inputs(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    mask = np.full((8, 8), 255, np.uint8)
    history = History(tmp_path, SETTINGS)
    accepted = job(init_image=picture, mask=mask)
    history.journal.accept(accepted)
    cancelled = job()
    history.journal.accept(cancelled)
    history.journal.end(cancelled.id, "cancelled")
    done(history, job())
    crash(history)

    history = History(tmp_path, SETTINGS)
    [again] = history.journal.unfinished("interrupted")
    assert (again.id, again.request, again.client) == (accepted.id, accepted.request, "me")
    assert again.init_image is not None and again.mask is not None
    assert (again.init_image == picture).all() and (again.mask == mask).all()
    history.journal.begin(accepted.id)
    crash(history)
    history = History(tmp_path, SETTINGS)
    assert [again.id for again in history.journal.unfinished("interrupted")] == [accepted.id]
    history.journal.begin(accepted.id)
    crash(history)

    history = History(tmp_path, SETTINGS)
    assert history.journal.unfinished("The server was restarted twice.") == []
    ended = history.journal.job(accepted.id, "me")
    assert ended is not None and (ended.state, ended.message) == ("interrupted", "The server was restarted twice.")
    history.close()


def test_an_orderly_end_is_no_run(tmp_path: Path) -> None:
    made = job()
    for start in range(4):
        history = History(tmp_path, SETTINGS)
        assert [again.id for again in history.journal.unfinished("interrupted")] == ([made.id] if start else [])
        if not start:
            history.journal.accept(made)
        history.journal.begin(made.id)
        history.close()


def test_a_process_that_ends_takes_no_run_of_jobs_that_waited(tmp_path: Path) -> None:
    """Behind another that was under way, or while the model was being loaded; killed or in good order."""
    history, other, made = History(tmp_path, SETTINGS), job(), job()
    history.journal.accept(other)
    history.journal.accept(made)
    for end in (crash, crash, History.close, History.close, crash):
        history.journal.begin(other.id)
        end(history)
        history = History(tmp_path, SETTINGS)
        assert made.id in [again.id for again in history.journal.unfinished("interrupted")]
    ended = history.journal.job(other.id, "me")
    assert ended is not None and ended.state == "interrupted"
    history.close()


def test_a_run_counts_from_when_the_engine_takes_the_job(tmp_path: Path) -> None:
    service, made = Service(Settings(data_dir=tmp_path)), job()
    assert service.history is not None
    service.history.journal.accept(made)
    assert service.history._db.read("SELECT tries FROM jobs") == [(0,)]
    service.keeper.begin(made)
    assert service.history._db.read("SELECT tries FROM jobs") == [(1,)]
    service.close()


def test_a_start_that_cannot_be_written_down_costs_the_job_nothing(tmp_path: Path) -> None:
    """On a full disk, say: only the count of one run is lost, which an orderly end does not take back either."""
    service, made = Service(Settings(data_dir=tmp_path)), job()
    assert service.history is not None
    service.history.journal.accept(made)
    db = service.history._db
    db._db.execute("PRAGMA query_only=1")
    service.keeper.begin(made)
    db._db.execute("PRAGMA query_only=0")
    service.history.journal.close()
    assert db.read("SELECT state, tries FROM jobs") == [("accepted", 0)]
    service.close()


def test_what_an_earlier_process_has_left_lets_the_page_come_first(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    for left in (False, True):
        service = Service(settings)
        assert service.may_begin.is_set() is not left
        if not left:
            assert service.history is not None
            service.history.journal.accept(job())
        service.close()


def test_an_input_that_cannot_be_read_ends_its_own_job_alone(tmp_path: Path) -> None:
    history = History(tmp_path, SETTINGS)
    damaged, good = job(init_image=np.zeros((8, 8, 3), np.uint8)), job()
    history.journal.accept(damaged)
    history.journal.accept(good)
    crash(history)
    (tmp_path / "inputs" / f"{damaged.id}-init.png").write_bytes(b"")
    history = History(tmp_path, SETTINGS)
    assert [again.id for again in history.journal.unfinished("interrupted")] == [good.id]
    ended = history.journal.job(damaged.id, "me")
    assert ended is not None and ended.state == "failed"
    assert ended.message == "What this job was to be made from cannot be read any more."
    history.close()


def test_what_a_killed_process_left_goes_at_the_next_start(tmp_path: Path) -> None:
    """A process that is killed between a picture and its row, or while it writes one."""
    history = History(tmp_path, SETTINGS)
    waits, kept = job(init_image=np.zeros((8, 8, 3), np.uint8)), job()
    history.journal.accept(waits)
    path = history.pictures / file_name("a red apple", 7, kept.id)
    path.write_bytes(b"x")
    history.journal.accept(kept)
    history.finish(kept, [GeneratedImage(path, 7, 8, 8)], "tiny")
    crash(history)
    names = [f"a-cat-{seed}-{waits.id[:8]}.png" for seed in (1, 2)]
    with replacing(history.pictures / names[1]) as partial:  # as a picture is written
        left = [history.pictures / names[0], partial]
        partial.touch()
    partial.touch()
    left += [tmp_path / "inputs" / f"{name}-init.png" for name in (kept.id, "0f3c29aa")]  # done; never written down
    for lost in left:
        lost.write_bytes(b"x")
    foreign = [history.pictures / name for name in ("mine.png", "a-cat-1-0f3c29aa.png")]  # of a database that has gone
    for theirs in foreign:
        theirs.write_bytes(b"x")
    history = History(tmp_path, SETTINGS)
    assert not any(lost.exists() for lost in left)
    assert path.exists() and all(theirs.exists() for theirs in foreign)
    assert [again.id for again in history.journal.unfinished("interrupted")] == [waits.id]
    history.close()


def test_pictures_that_cannot_be_noted_go_again(tmp_path: Path) -> None:
    history, made = History(tmp_path, SETTINGS), job()
    path = history.pictures / "a.png"
    path.write_bytes(b"x")
    history._db.close()
    with pytest.raises(Exception):  # noqa: B017  # whatever the database says
        history.finish(made, [GeneratedImage(path, 7, 8, 8)], "tiny")
    assert not path.exists()


def test_what_cannot_be_written_down_is_refused_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(tmp_path, SETTINGS)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.history.journal.os.fsync", full)
    with pytest.raises(RequestError, match="could not be written down: No space left on device"):
        history.journal.accept(job(init_image=np.zeros((8, 8, 3), np.uint8)))
    assert not list((tmp_path / "inputs").iterdir())
    history.close()


def test_the_newest_picture_is_there_even_where_favourites_leave_it_no_room(tmp_path: Path) -> None:
    history = History(tmp_path, SETTINGS)
    kept = done(history, job(), size=750)
    assert history.favour(kept, "me", True)
    history._settings = replace(SETTINGS, history_bytes=800, client_history_bytes=790)
    history.check_room("me")
    newest = done(history, job(), size=100)
    assert (history.pictures / newest).exists()
    later = done(history, job(), size=10)
    assert not (history.pictures / newest).exists() and (history.pictures / later).exists()
    history.close()


def test_pictures_are_their_client_s(tmp_path: Path) -> None:
    history = History(tmp_path, SETTINGS)
    mine, other = done(history, job()), done(history, job("a dog", client="other"))
    assert [record.name for record in history.images("me")] == [mine]
    assert history.images("me", Filter("RED")) and not history.images("me", Filter("dog"))
    assert history.models("me") == ["tiny"] and history.models("nobody") == []
    assert history.owner(other) == "other" and history.owner("nobody.png") is None
    assert not history.delete(other, "me") and not history.favour(other, "me", True)
    assert history.delete(mine, "me") and not (history.pictures / mine).exists()
    history.close()


def test_the_oldest_that_are_no_favourites_make_room(tmp_path: Path) -> None:
    history = History(tmp_path, SETTINGS)
    kept = done(history, job(), 400)
    assert history.favour(kept, "me", True)
    names = [done(history, job(seed=k), 250) for k in range(3)]
    assert {record.name for record in history.images("me")} == {kept, *names[1:]}
    assert sorted(path.name for path in history.pictures.iterdir()) == sorted([kept, *names[1:]])
    assert history.favour(names[1], "me", True)
    history._settings = replace(SETTINGS, history_bytes=650, client_history_bytes=600)
    with pytest.raises(RequestError, match="full of favourites"):
        history.check_room("other")
    history.close()


def test_nobody_fills_another_s_part(tmp_path: Path) -> None:
    history = History(tmp_path, replace(SETTINGS, client_history_bytes=400))
    theirs = [done(history, job(client="other", seed=k), 100) for k in range(2)]
    mine = [done(history, job(seed=k), 150) for k in range(4)]
    assert {record.name for record in history.images("me")} == set(mine[2:])
    assert {record.name for record in history.images("other")} == set(theirs)
    for name in mine[2:]:
        history.favour(name, "me", True)
    done(history, job(seed=9), 100)  # fits beside them
    history.favour(history.images("me")[0].name, "me", True)
    with pytest.raises(RequestError, match="Your favourites fill"):
        history.check_room("me")
    history.check_room("other")
    history.close()


def test_favourites_are_refused_before_they_stop_anybody_s_pictures(tmp_path: Path) -> None:
    """Neither one client's nor everybody's leave new pictures no room; a client's part is a fifth of everybody's."""
    history = History(tmp_path, Settings(history_bytes=1000))
    for client in map(str, range(4)):
        names = [done(history, job(client=client, seed=k)) for k in range(2)]
        assert all(history.favour(name, client, True) for name in names)
        done(history, job(client=client, seed=2), 10)
        [newest] = history.images(client, most=1)
        with pytest.raises(RequestError, match="Your favourites fill"):
            history.favour(newest.name, client, True)
        assert history.favour(newest.name, client, False) and history.favour(names[0], client, True), "it is one"
    last = done(history, job(client="last"))
    with pytest.raises(RequestError, match="full of favourites"):
        history.favour(last, "last", True)
    history.check_room("last")
    history.close()


def test_days_end_what_is_no_favourite_and_the_journal_s_ended_jobs(tmp_path: Path) -> None:
    history = History(tmp_path, replace(SETTINGS, history_days=30))
    ended = job(seed=3)
    old, kept, new = (done(history, made) for made in (job(seed=1), job(seed=2), ended))
    history.favour(kept, "me", True)
    month_ago = time.time() - 31 * 86400
    with history._db.write() as db:
        db.execute("UPDATE images SET created = ? WHERE name != ?", (month_ago, new))
        db.execute("UPDATE jobs SET created = ? WHERE id != ?", (month_ago, ended.id))
    waiting = job(seed=4)
    history.journal.accept(waiting)
    history.close()

    history = History(tmp_path, replace(SETTINGS, history_days=30))
    assert len(history.images("me")) == 3, "the port need not wait for them to go"
    history.trim()
    assert {record.name for record in history.images("me")} == {kept, new}
    assert not (history.pictures / old).exists()
    assert history._db.read("SELECT COUNT(*) FROM jobs") == [(2,)]
    assert history.journal.job(ended.id, "me") and history.journal.job(waiting.id, "me")
    history.close()


def test_the_newest_ended_jobs_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the server is busy or starts: asking and cancelling in a loop does not fill the disk."""
    monkeypatch.setattr(journal, "CLIENT_ENDED", 5)
    monkeypatch.setattr(journal, "ENDED", 8)
    monkeypatch.setattr(journal, "TRIM_EVERY", 4)
    history, waiting = History(tmp_path, SETTINGS), job("红苹果")
    history.journal.accept(waiting)
    ended = [job(client=client) for client in ("other", "me", "third") for _ in range(6)]
    for made in ended:
        history.journal.accept(made)
        history.journal.end(made.id, "cancelled")

    def kept() -> set[str]:
        return {job_id for (job_id,) in history._db.read("SELECT id FROM jobs WHERE state != 'accepted'")}

    assert kept() <= {made.id for made in ended[6:]} and len(kept()) <= 8 + 4
    history.trim()
    assert kept() == {made.id for made in (*ended[10:12], *ended[13:])}
    assert history.journal.job(waiting.id, "me") and "红" in history._db.read("SELECT request FROM jobs")[0][0]
    history.close()


def test_a_full_history_reads_few_rows_to_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(tmp_path, replace(SETTINGS, history_bytes=25_000, client_history_bytes=20_000))
    for seed in range(200):
        done(history, job(seed=seed))
    read, rows = history._db.read, 0

    def counted(sql: str, *values: object) -> list[tuple[object, ...]]:
        nonlocal rows
        found = read(sql, *values)
        rows += len(found)
        return found

    monkeypatch.setattr(history._db, "read", counted)
    done(history, job(seed=200))
    assert rows < 200 == len(history.images("me", most=300))
    [*_, plan] = read("EXPLAIN QUERY PLAN SELECT name FROM images WHERE favourite = 0 ORDER BY created LIMIT 64")[0]
    assert "images_by_age" in str(plan), "the oldest come from an index"
    history.close()


def test_many_old_pictures_go_in_few_transactions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is synced to the disk: one a picture took minutes where --history-bytes had been lowered."""
    history = History(tmp_path, Settings(history_bytes=10**6))
    for seed in range(200):
        done(history, job(seed=seed))
    kept = history.images("me", most=200)[-1].name
    assert history.favour(kept, "me", True)
    history._settings = Settings(history_bytes=1000, client_history_bytes=500)
    write, written = history._db.write, 0

    def counted(synced: bool = True) -> Any:
        nonlocal written
        written += 1
        return write(synced)

    monkeypatch.setattr(history._db, "write", counted)
    caplog.set_level("INFO")
    history.trim()
    assert written < 10 and "old pictures deleted: 195" in caplog.text
    left = {record.name for record in history.images("me")}
    assert len(left) == 5 and kept in left
    assert left == {path.name for path in history.pictures.iterdir()}
    history.close()


def test_one_process_a_folder(tmp_path: Path) -> None:
    history = History(tmp_path, SETTINGS)
    with pytest.raises(ValueError, match="another process"):
        History(tmp_path, SETTINGS)
    history.close()
    History(tmp_path, SETTINGS).close()
    assert os.listdir(tmp_path / "pictures") == []


VERSION_1 = """
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, client TEXT NOT NULL, user TEXT NOT NULL, request TEXT NOT NULL,
    state TEXT NOT NULL, tries INTEGER NOT NULL, message TEXT, created REAL NOT NULL);
CREATE TABLE images (
    name TEXT PRIMARY KEY, job TEXT NOT NULL, client TEXT NOT NULL, prompt TEXT NOT NULL, model TEXT NOT NULL,
    seed INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, bytes INTEGER NOT NULL,
    favourite INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL);
CREATE INDEX images_of ON images (client, created);
INSERT INTO jobs VALUES ('0a', 'me', '', '{"prompt": "a red apple", "seed": 7}', 'accepted', 1, NULL, 1.8e9);
INSERT INTO images VALUES ('a.png', '0b', 'me', 'a blue cat', 'tiny', 3, 8, 8, 100, 1, 1.8e9);
PRAGMA user_version=1;
"""


def test_an_earlier_version_s_folder_is_taken_over(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "history.sqlite")
    db.executescript(VERSION_1)
    db.close()
    for _ in range(2):  # the upgrade is made once
        history = History(tmp_path, SETTINGS)
        [again] = history.journal.unfinished("interrupted")
        assert (again.id, again.request, again.model) == ("0a", SamplingParams("a red apple", seed=7), "")
        [kept] = history.images("me")
        assert (kept.prompt, kept.seed, kept.favourite) == ("a blue cat", 3, True)
        assert history._db.read("PRAGMA user_version") == [(VERSION,)]
        assert history._db.read("SELECT tries FROM jobs") == [(0,)]
        history.close()


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "history.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(ValueError, match=r"history\.sqlite cannot be used: file is not a database$"):
        History(tmp_path, SETTINGS)


def test_a_later_version_s_folder_is_left_alone(tmp_path: Path) -> None:
    history = History(tmp_path, SETTINGS)
    history._db._db.execute("PRAGMA user_version=99")
    history.close()
    with pytest.raises(ValueError, match="later version"):
        History(tmp_path, SETTINGS)


def test_the_first_trimming_is_at_the_start() -> None:
    asked: list[int] = []
    service: Any = SimpleNamespace(trim=lambda: asked.append(1))
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(server._trim(service), 0.1))
    assert asked == [1]


def test_trimming_goes_on_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def trim() -> None:
        asked.append(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(server, "TRIM_SECONDS", 0.01)
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(server._trim(SimpleNamespace(trim=trim)), 0.5))  # type: ignore[arg-type]
    assert len(asked) > 1
