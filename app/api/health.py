"""Is the process alive, is the model ready?"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

router = APIRouter()


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """200 as soon as the process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def readyz(request: Request, response: Response) -> dict[str, str | float]:
    """200 when pictures can be made, else 503; the body says why."""
    state = request.app.state.service.state
    response.status_code = 200 if state.phase == "ready" else 503
    return {"status": state.phase, "message": str(state.message), "progress": state.progress}
