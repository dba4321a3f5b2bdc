"""Finished pictures as files: one by an address that is signed for an hour, or one's own in one archive."""

from __future__ import annotations

import hashlib
import hmac
import time
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from app.api.dependencies import AppState, Caller
from app.api.encoding import encode
from app.api.errors import ApiError
from app.api.schemas import ERRORS
from app.service import Service

router = APIRouter(responses=ERRORS, tags=["files"])
URL_SECONDS = 3600


def signed_url(who: Caller, name: str, form: str = "") -> str:
    """An address from which anybody who has it may fetch this picture for an hour, in a `form_of` unless as it is."""
    expires = int(time.time()) + URL_SECONDS
    more = {"form": form} if form else {}
    query = urlencode({"expires": expires, **more, "signature": _signature(who.service, name, expires, form)})
    url = who.request.url_for("picture", name=name)
    return f"{url.replace(path=who.service.settings.root_path + url.path)}?{query}"


@router.head("/v1/files/{name}", include_in_schema=False)  # so programs ask for size and type before they fetch
@router.get("/v1/files/{name}", response_class=FileResponse)
def picture(request: Request, name: str, expires: int = 0, signature: str = "", form: str = "") -> Response:
    """A picture whose address was signed; other sites' pages may show it."""
    service = AppState.of(request.app).service
    genuine = hmac.compare_digest(signature.encode(), _signature(service, name, expires, form).encode())
    path = service.outputs / name
    if not genuine or expires < time.time() or path.name != name or not path.is_file():
        raise ApiError(404, "not_found", "There is no such picture, or its address has expired.")
    headers = {"Cross-Origin-Resource-Policy": "cross-origin"}
    if not form:
        return FileResponse(path, headers=headers)
    kind, *numbers = form.split("-")
    width, height, quality = map(int, numbers)
    content = encode(path, (width, height), kind, quality)
    return Response(content, headers=headers, media_type=f"image/{kind}")


def form_of(kind: str, size: tuple[int, int], quality: int) -> str:
    """A picture's file as it was asked for: png, jpeg or webp, (width, height), and quality in percent."""
    return f"{kind}-{size[0]}-{size[1]}-{quality}"


def _signature(service: Service, name: str, expires: int, form: str) -> str:
    return hmac.new(service.keeper.link_key, f"{name} {expires} {form}".encode(), hashlib.sha256).hexdigest()
