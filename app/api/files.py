"""Finished pictures as files: one by an address that is signed for an hour, or one's own in one archive."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import FileResponse

from app.api.calls import Caller
from app.api.errors import ApiError
from app.api.schemas import ERRORS

router = APIRouter(responses=ERRORS, tags=["files"])
URL_SECONDS = 3600
_SECRET = secrets.token_bytes(32)  # of this process: an address is good until it ends


def signed_url(who: Caller, name: str) -> str:
    """An address from which anybody who has it may fetch this picture for an hour."""
    expires = int(time.time()) + URL_SECONDS
    query = urlencode({"expires": expires, "signature": _signature(name, expires)})
    url = who.request.url_for("picture", name=name)
    return f"{url.replace(path=who.service.settings.root_path + url.path)}?{query}"


@router.get("/v1/files/{name}", response_class=FileResponse)
def picture(request: Request, name: str, expires: int = 0, signature: str = "") -> FileResponse:
    """A picture whose address was signed."""
    genuine = hmac.compare_digest(signature.encode(), _signature(name, expires).encode())
    path = request.app.state.service.outputs / name
    if not genuine or expires < time.time() or path.name != name or not path.is_file():
        raise ApiError(404, "not_found", "There is no such picture, or its address has expired.")
    return FileResponse(path)


def _signature(name: str, expires: int) -> str:
    return hmac.new(_SECRET, f"{name} {expires}".encode(), hashlib.sha256).hexdigest()
