"""How often one client may ask, and how often one may guess a password."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.security.addresses import peer_address
from app.security.messages import PROBES, is_api, refuse

KEPT = 10_000  # accounts that are remembered; the one unused longest is forgotten, and starts afresh


class Buckets:
    """Token buckets: an account may ask a minute's worth at once, and gets it back steadily."""

    def __init__(self, per_minute: int) -> None:
        self._most = per_minute
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # asks left, when

    def take(self, account: str, asks: int = 1) -> float:
        """Seconds to wait before asking again; 0 where it may be now, which is then counted."""
        now = time.monotonic()
        left, since = self._left.pop(account, (float(self._most), now))
        left = min(self._most, left + (now - since) * self._most / 60)
        enough = left >= max(asks, 1)
        self._left[account] = (left - asks if enough else left, now)
        while len(self._left) > KEPT:
            self._left.popitem(last=False)
        return 0.0 if enough else (1 - left) * 60 / self._most


class RateLimit:
    """ASGI middleware: 429 with Retry-After for who asks too often. Files of the page are not counted."""

    def __init__(self, app: ASGIApp, per_minute: int, account: Callable[[Headers, str], str]) -> None:
        """`account` maps headers and address to the bucket; it must not depend on anything a client can make up."""
        self.app, self._account = app, account
        self._buckets = Buckets(per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http" and _counts(scope):
            account = self._account(Headers(scope=scope), peer_address(scope))
            if wait := self._buckets.take(account):
                await too_often("Too many requests; please wait a moment.", wait, scope, receive, send)
                return
        await self.app(scope, receive, send)


async def too_often(sentence: str, wait: float, scope: Scope, receive: Receive, send: Send) -> None:
    """429, and when it may be tried again."""
    await refuse(429, sentence, scope, receive, send, {"Retry-After": str(math.ceil(wait))})


def _counts(scope: Scope) -> bool:
    path = scope["path"]
    return path not in PROBES and (is_api(path) or scope["method"] not in ("GET", "HEAD"))
