"""What stands between the network and the program: one stack of ASGI middleware around the page and all routes.

`security_stack` is the whole of it. docs/security.md says against what, with every limit and its option.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp

from app.security.addresses import account as address_account
from app.security.bodies import BodyLimits
from app.security.gradio_routes import GradioRoutes
from app.security.headers import ResponseHeaders
from app.security.leaving import CancelOnDisconnect
from app.security.origins import HostAndOriginCheck
from app.security.page_password import PagePassword
from app.security.prefix import Prefix
from app.security.rates import RateLimit
from app.security.request_log import RequestLog
from app.settings import Settings

Account = Callable[[Headers, str], str]
Refusal = Callable[[Headers], str | None]


def security_stack(
    app: ASGIApp,
    settings: Settings,
    pictures: Mapping[str, int] | None = None,
    account: Account | None = None,
    refusal: Refusal | None = None,
) -> ASGIApp:
    """`app` behind every check.

    `pictures` are routes whose bodies carry that many pictures (base64 or multipart); `account` tells by headers and
    address whose requests are counted together, else they are the address's; `refusal` says why these headers open no
    API, else they do.
    """
    whose = account or (lambda headers, address: address_account(address))
    for layer in (
        CancelOnDisconnect,  # innermost: a call ends with its connection
        GradioRoutes,
        lambda inner: BodyLimits(inner, settings, pictures or {}, refusal or (lambda headers: None)),
        lambda inner: PagePassword(inner, settings.page_password),
        lambda inner: RateLimit(inner, settings.requests_per_minute, whose),
        lambda inner: HostAndOriginCheck(inner, settings),
        RequestLog,
        lambda inner: Prefix(inner, settings.root_path),
        ResponseHeaders,  # outermost: refusals carry the headers too
    ):
        app = layer(app)
    return app
