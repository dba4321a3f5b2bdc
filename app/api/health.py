"""Is the process alive, is the model ready?"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api.dependencies import AppState
from app.api.schemas import ErrorAnswer
from app.starting import BROKEN

router = APIRouter(responses={405: {"model": ErrorAnswer}}, tags=["service"])
OPENING = "The page is being opened."


@router.get("/healthz")
@router.head("/healthz", include_in_schema=False)  # what monitors send
def healthz() -> dict[str, str]:
    """200 as soon as the process answers."""
    return {"status": "ok"}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", responses={503: {"model": dict[str, str | float]}})
def readyz(request: Request, response: Response) -> dict[str, str | float]:
    """200 when the page is open and a picture can be made and saved, else 503; the body says why."""
    shared = AppState.of(request.app)
    service, page = shared.service, shared.page
    state, fault = service.state, service.unready()
    status, message = state.phase, str(state.message)
    if state.phase == "ready" and fault is not None:
        status, message = "failed", str(fault)
    if status == "ready" and not page.ready:
        status, message = ("failed", BROKEN) if page.broken else ("starting", OPENING)
    response.status_code = 200 if status == "ready" else 503
    return {"status": status, "message": message, "progress": state.progress}
