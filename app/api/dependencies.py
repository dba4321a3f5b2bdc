"""Who calls: FastAPI's dependencies of the routes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.api.errors import ApiError
from app.engine import Requester
from app.logs import request_id
from app.security.addresses import peer_address
from app.service import Service


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
    service: Service = request.app.state.service
    clients, asked = service.clients, (request.headers, peer_address(request.scope))
    requester = Requester(clients.of(*asked), clients.account(*asked), request_id=request_id.get())
    return Caller(service, requester, request)


CallerDep = Annotated[Caller, Depends(require_caller)]
