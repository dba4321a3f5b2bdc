"""Whose request it is: jobs, previews, files and history belong to a client, and nobody else sees them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.security.addresses import account, peer_address
from app.security.headers import FILES
from app.security.messages import credential, refuse
from app.settings import Settings
from ldm_core.files import read_text

COOKIE = "latent-lab-client"
COOKIE_SECONDS = 365 * 24 * 3600
OURS = re.compile(r"[0-9a-f]{32}")  # a cookie's value as we give it: no other is sent back

KEY_FILE = re.compile(r"[/.~].*|.*\.(txt|keys|conf|env)", re.IGNORECASE | re.DOTALL)  # a name that means a file
COMMENT = re.compile(r"(^|\s)#.*")  # in a file of keys


def read_keys(source: str) -> tuple[str, ...]:
    """API keys: one a line of the file `source` names, or, where there is none, between commas.

    In a file # begins a comment at a line's start or after a space; within a key it is the key's. "" is none.
    ValueError for a file that is not there or cannot be read, and where no key is found.
    """
    source = source.strip()
    path = os.path.expanduser(source)
    is_file = os.path.exists(path)
    if not is_file and KEY_FILE.fullmatch(source):  # else its name would be the key, which others may guess
        raise ValueError(f"the file of API keys {source} is not there")
    lines = [COMMENT.sub("", line) for line in read_text(path).splitlines()] if is_file else source.split(",")
    keys = tuple(key for line in lines if (key := line.strip()))
    if source and not keys:
        raise ValueError(f"the file of API keys {source} holds no key" if is_file else "api_keys holds no key")
    return keys


class Clients:
    """Tells clients apart by API key, else cookie, else bearer token with the address, else address."""

    def __init__(self, settings: Settings) -> None:
        self._keys = read_keys(settings.api_keys)
        # on loopback, but a proxy brings others
        served = bool(settings.trusted_proxies or settings.allowed_hosts or settings.root_path)
        self._open = settings.open or (_is_loopback(settings.host) and not served)
        if settings.page_password in self._keys:
            raise ValueError("page_password must not be an API key: all visitors would be that key's client")

    def of(self, headers: Mapping[str, str], address: str) -> str:
        """Stable client id: a SHA-256 of the key, cookie, token or address."""
        token = credential(headers.get("authorization", ""))
        if self._known(token):
            return _name("key", token)
        if cookie := cookie_of(headers):
            return _name("cookie", cookie)
        home = account(address)
        return _name("token", f"{token} {home}") if token else _name("address", home)

    def account(self, headers: Mapping[str, str], address: str) -> str:
        """Whose requests are counted together: a key's, else an address's, since cookies can be made up."""
        token = credential(headers.get("authorization", ""))
        return _name("key", token) if self._known(token) else _name("address", account(address))

    def refusal(self, headers: Mapping[str, str]) -> str | None:
        """Why this request may not use the API, None where it may."""
        if self._known(credential(headers.get("authorization", ""))):
            return None
        if self._keys:
            return "This API needs a key: send it as a bearer token, or as the password of Basic authentication."
        if not self._open:
            return "This API is closed: start the server with --api-keys FILE, or with --open to let everybody in."
        return None

    def _known(self, token: str) -> bool:
        return any(hmac.compare_digest(token.encode(), key.encode()) for key in self._keys)


def cookie_of(headers: Mapping[str, str]) -> str:
    """The page's cookie, "" without one."""
    value = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")  # SimpleCookie gives up at a neighbour's {"a":1}
    return value if len(value) >= 32 else ""


class ClientCookie:
    """ASGI middleware: the page gives a browser its cookie, which no script can read, for a year from each visit on."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; dress the page's answer."""
        page = scope["type"] == "http" and scope["method"] == "GET" and scope["path"] == "/"
        value = cookie_of(Headers(scope=scope)) if page else ""
        if not page or (value and not OURS.fullmatch(value)):
            await self.app(scope, receive, send)
            return
        flags = f"Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax"
        secure = "; Secure" if scope["scheme"] == "https" else ""
        cookie = f"{COOKIE}={value or secrets.token_hex(16)}; {flags}{secure}"

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("set-cookie", cookie)
            await send(message)

        await self.app(scope, receive, dressed)


class OwnFiles:
    """ASGI middleware: 404 for a picture that was made for somebody else."""

    def __init__(self, app: ASGIApp, clients: Clients, folder: Path, owner: Callable[[str], str | None]) -> None:
        """`owner` tells whose file of `folder` a name is."""
        self.app, self._clients, self._owner = app, clients, owner
        self._folder = os.path.realpath(folder)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or say that there is nothing."""
        asked = scope["type"] == "http" and FILES in scope["path"]
        if asked and not await asyncio.to_thread(self._allowed, scope):  # the owner is asked of a database
            await refuse(404, "Not found.", scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _allowed(self, scope: Scope) -> bool:
        asked = scope["path"].partition(FILES)[2]
        try:
            paths = {os.path.realpath(name) for name in (asked, f"/{asked}")}  # Gradio's reading, and a lost slash
        except ValueError:  # a NUL inside: no file's name
            return False
        ours = [os.path.basename(path) for path in paths if path.startswith(self._folder + os.sep)]
        if not ours:
            return True  # no picture of ours: Gradio judges it
        client = self._clients.of(Headers(scope=scope), peer_address(scope))
        return all(self._owner(name) == client for name in ours)


def _name(kind: str, value: str) -> str:
    return f"{kind}:{hashlib.sha256(value.encode()).hexdigest()[:24]}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
