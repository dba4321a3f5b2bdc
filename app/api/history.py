"""The caller's finished pictures: /v1/history, and all of them in one file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from zipfile import ZIP_STORED, ZipFile

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel
from starlette.responses import StreamingResponse

from app.api.dependencies import Caller, CallerDep, get_caller
from app.api.errors import ApiError
from app.api.files import signed_url
from app.api.schemas import ERRORS
from app.history import Filter, History, Record

router = APIRouter(responses=ERRORS, tags=["history"])
HISTORY = "/v1/history"
ARCHIVE = "/pictures.zip"
MOST_ARCHIVED = 10_000


@dataclass(frozen=True)
class Entry(Record):
    """A picture of the history with its address, which is signed and expires."""

    url: str


def history_query(
    q: str = "", model: str = "", since: float = 0.0, before: float | None = None, favourites: bool = False
) -> Filter:
    """Which pictures, from a query: `q` is looked for in prompts, times are seconds since 1970."""
    return Filter(q, model, since, before, favourites)


class Favourite(BaseModel):
    """Whether to keep a picture whatever comes."""

    favourite: bool


@router.get(HISTORY)
def entries(
    who: CallerDep, wanted: Annotated[Filter, Depends(history_query)], limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> list[Entry]:
    """Newest first; `before` goes on from the last one's `created`."""
    return [_entry(who, record) for record in _history(who).images(who.client, wanted, limit)]


@router.patch(HISTORY + "/{name}")
def favour(name: str, wanted: Favourite, who: CallerDep) -> Favourite:
    """Mark or unmark a favourite."""
    if not _history(who).favour(name, who.client, wanted.favourite):
        raise ApiError(404, "not_found", "There is no such picture.")
    return wanted


@router.delete(HISTORY + "/{name}", status_code=204)
def delete(name: str, who: CallerDep) -> None:
    """Delete a picture and its file."""
    if not _history(who).delete(name, who.client):
        raise ApiError(404, "not_found", "There is no such picture.")


@router.get(ARCHIVE, response_class=StreamingResponse)
def archive(request: Request, wanted: Annotated[Filter, Depends(history_query)]) -> StreamingResponse:
    """The caller's pictures in one zip. The page links to it, so it asks for no key: nobody gets but their own."""
    who = get_caller(request)
    history = _history(who)
    paths = [history.pictures / record.name for record in history.images(who.client, wanted, MOST_ARCHIVED)]
    headers = {"Content-Disposition": 'attachment; filename="pictures.zip"'}
    return StreamingResponse(zip_files(paths), media_type="application/zip", headers=headers)


def zip_files(paths: Sequence[Path]) -> Iterator[bytes]:
    """A zip of those files that are still there, piece by piece: it is never whole in memory or on the disk."""
    pieces = _Pieces()
    with ZipFile(pieces, "w", ZIP_STORED) as made:  # type: ignore[call-overload]  # it needs no more than `write`
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                made.write(path, path.name)
            yield pieces.take()
    yield pieces.take()


class _Pieces:
    """A file that is written to and taken away."""

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, content: bytes) -> int:
        self._held += content
        return len(content)

    def flush(self) -> None: ...

    def take(self) -> bytes:
        """What was written since the last time."""
        held, self._held = bytes(self._held), bytearray()
        return held


def _history(who: Caller) -> History:
    if who.service.history is None:
        raise ApiError(404, "no_history", "No history is kept here; start the server with --data-dir FOLDER.")
    return who.service.history


def _entry(who: Caller, record: Record) -> Entry:
    return Entry(url=signed_url(who, record.name), **vars(record))
