"""The caller's finished pictures: /v1/history."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from app.api.calls import Called, Caller
from app.api.errors import ApiError
from app.api.files import signed_url
from app.api.schemas import ERRORS
from app.history import History, Record

router = APIRouter(prefix="/v1/history", responses=ERRORS, tags=["history"])


class Entry(BaseModel):
    """One finished picture."""

    name: str
    url: str
    job: str
    prompt: str
    model: str
    seed: int
    width: int
    height: int
    favourite: bool
    created: float


class Favourite(BaseModel):
    """Whether to keep a picture whatever comes."""

    favourite: bool


@router.get("")
def entries(
    who: Called, q: str = "", before: float | None = None, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> list[Entry]:
    """Newest first; `q` is looked for in prompts, `before` goes on from the last one's `created`."""
    return [_entry(who, record) for record in _history(who).images(who.client, q, before, limit)]


@router.patch("/{name}")
def favour(name: str, wanted: Favourite, who: Called) -> Favourite:
    """Mark or unmark a favourite."""
    if not _history(who).favour(name, who.client, wanted.favourite):
        raise ApiError(404, "not_found", "There is no such picture.")
    return wanted


@router.delete("/{name}", status_code=204)
def delete(name: str, who: Called) -> None:
    """Delete a picture and its file."""
    if not _history(who).delete(name, who.client):
        raise ApiError(404, "not_found", "There is no such picture.")


def _history(who: Caller) -> History:
    if who.service.history is None:
        raise ApiError(404, "no_history", "No history is kept here; start the server with --data-dir FOLDER.")
    return who.service.history


def _entry(who: Caller, record: Record) -> Entry:
    return Entry(url=signed_url(who, record.name), **vars(record))
