"""Who is asking whom: forwarded headers from known proxies only, known host names only, no foreign page."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from app.security.addresses import forwarded_address, peer_address
from app.security.messages import PROBES, header, refuse
from app.settings import Settings

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-gradio-server")
FOREIGN = "Requests from pages of another site are refused; start with --allowed-hosts if the page's name is your own."
PREFLIGHT = "access-control-request-method"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class HostAndOriginCheck:
    """ASGI middleware.

    A page of another site reaches this server through its visitor's browser: by a host name that it lets point here
    (DNS rebinding), or by a request to our own name (CSRF). The first is refused by the Host header, where an IP
    literal is safe because no name was resolved; the second by the Origin header. Probes come by any name, or none.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        own_name = () if _is_address(settings.host) else (settings.host.lower(),)
        self._names = frozenset(name.lower() for name in (*settings.allowed_hosts, *own_name, "localhost"))
        self._hosts = frozenset(host_name(name) for name in self._names)
        self._proxies = networks(settings.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on as the browser made it, or refuse it."""
        if scope["type"] == "websocket":  # nothing here speaks it
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope = self._as_asked(scope)
        host, origin = header(scope, "host").lower(), header(scope, "origin").lower()
        if not (scope["path"] in PROBES or _is_address(host_name(host)) or host_name(host) in self._hosts):
            sentence = f"The host name {host_name(host)!r} is not known here; start with --allowed-hosts to allow it."
            await refuse(421, sentence, scope, receive, send)
        elif self._foreign(scope, host, origin):
            await refuse(403, FOREIGN, scope, receive, send)
        else:
            await self.app(self._at_own_address(scope, origin), receive, send)

    def _at_own_address(self, scope: Scope, origin: str) -> Scope:
        """The request with the address in place that our page has in the browser, where a proxy has changed Host."""
        headers = [(name, value) for name, value in scope["headers"] if name != b"origin"]
        if scope["method"] not in SAFE_METHODS and (netloc := _netloc(origin)):
            headers = [(name, value) for name, value in headers if name != b"host"]
            headers.append((b"host", netloc.encode("latin-1")))
        return {**scope, "headers": headers}

    def _foreign(self, scope: Scope, host: str, origin: str) -> bool:
        """Whether a page of another site wants something done, or asks whether it may."""
        asks = scope["method"] == "OPTIONS" and header(scope, PREFLIGHT) != ""
        if scope["method"] in SAFE_METHODS and not asks:
            return False  # the browser keeps the answer from that page: none names it
        netloc = _netloc(origin)
        if netloc is None:
            return True
        site = header(scope, "sec-fetch-site")
        if site:  # set by the browser, out of any page's reach
            return site not in ("same-origin", "none")
        return origin != "" and netloc not in {host, *self._names}

    def _as_asked(self, scope: Scope) -> Scope:
        """The request with what a trusted proxy forwarded put in place, and without what anybody else claims."""
        told = {name: value.decode("latin-1") for name, value in scope["headers"] if name in FORWARDED}
        headers = [pair for pair in scope["headers"] if pair[0] not in FORWARDED]
        scope = {**scope, "headers": headers}
        if not _within(peer_address(scope), self._proxies):
            return scope
        hops = [forwarded_address(hop.strip()) for hop in told.get(b"x-forwarded-for", "").split(",") if hop.strip()]
        while len(hops) > 1 and hops[-1] is not None and _within(hops[-1], self._proxies):
            hops.pop()
        if hops and hops[-1] is not None:  # else it is the proxy's
            scope["client"] = (hops[-1], 0)
        if (scheme := _last(told.get(b"x-forwarded-proto", ""))) in ("http", "https"):
            scope["scheme"] = scheme
        if host := _last(told.get(b"x-forwarded-host", "")):
            scope["headers"] = [pair for pair in headers if pair[0] != b"host"] + [(b"host", host.encode("latin-1"))]
        return scope


def host_name(netloc: str) -> str:
    """The name in a Host header: Lab.example.org:7860 → lab.example.org, [::1]:7860 → ::1; "" where there is none."""
    try:
        return (urlsplit(f"//{netloc}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _netloc(origin: str) -> str | None:
    """Name and port of an origin: "" of null, None of what no browser sends (http://[)."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def networks(addresses: Iterable[str]) -> list[Network]:
    """10.0.0.0/8 or 127.0.0.1 as networks; ValueError for anything else."""
    return [ipaddress.ip_network(address, strict=False) for address in addresses]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _within(address: str, among: list[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return any((mapped or parsed) in network for network in among)


def _last(values: str) -> str:
    """The value the nearest proxy added to a list."""
    return values.rpartition(",")[2].strip().lower()
