"""--page-password: the page and what belongs to it behind Basic authentication; the API has its keys."""

from __future__ import annotations

import hmac

from starlette.types import ASGIApp, Receive, Scope, Send

from app.security.addresses import account, peer_address
from app.security.messages import credential, header, is_api, refuse
from app.security.rates import Buckets, too_often

CHALLENGE = {"WWW-Authenticate": 'Basic realm="Latent Lab", charset="UTF-8"'}
GUESSES = 20  # wrong passwords of one address in a minute


class PagePassword:
    """ASGI middleware: 401 for the page without its password, under whatever user name it comes."""

    def __init__(self, app: ASGIApp, password: str) -> None:
        """`password` "" opens the page to everybody."""
        self.app, self._password = app, password.encode()
        self._guesses = Buckets(GUESSES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or ask for the password."""
        if scope["type"] != "http" or not self._password or is_api(scope["path"]):
            await self.app(scope, receive, send)
            return
        said, home = credential(header(scope, "authorization")), account(peer_address(scope))
        if wait := self._guesses.take(home, 0):
            await too_often("Too many wrong passwords; please wait a moment.", wait, scope, receive, send)
        elif said and hmac.compare_digest(said.encode(), self._password):
            await self.app(scope, receive, send)
        else:
            if said:  # a browser asks once without it
                self._guesses.take(home)
            await refuse(401, "This page needs a password.", scope, receive, send, CHALLENGE)
