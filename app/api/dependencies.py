"""What routes are given: the app's state, and who calls."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request

from app.api.errors import ApiError
from app.engine import Requester
from app.live import Live
from app.logs import request_id
from app.security.addresses import peer_address
from app.service import Service
from app.starting import Page


@dataclass(frozen=True)
class AppState:
    """What the routes of one app share."""

    service: Service
    page: Page
    live: Live
    a1111_options: dict[str, dict[str, Any]] = field(default_factory=dict)  # by client, the one set longest ago first
    idempotency: threading.Lock = field(default_factory=threading.Lock)  # a key that comes twice at once makes one job

    @classmethod
    def of(cls, app: FastAPI) -> AppState:
        """An app's own."""
        state: AppState = app.state.latent_lab
        return state


@dataclass(frozen=True)
class Caller:
    """Who calls, and the service."""

    service: Service
    requester: Requester
    request: Request

    @property
    def client(self) -> str:
        """Whose jobs and pictures they may see."""
        return self.requester.client


def require_caller(request: Request) -> Caller:
    """Let a client of the API in, or raise 401."""
    who = get_caller(request)
    if (refusal := who.service.clients.refusal(request.headers)) is not None:
        raise ApiError(401, "unauthorized", refusal)
    return who


def get_caller(request: Request) -> Caller:
    """Who calls, whether they may use the API or not."""
    service = AppState.of(request.app).service
    clients, asked = service.clients, (request.headers, peer_address(request.scope))
    requester = Requester(clients.of(*asked), clients.account(*asked), request_id=request_id.get())
    return Caller(service, requester, request)


CallerDep = Annotated[Caller, Depends(require_caller)]
