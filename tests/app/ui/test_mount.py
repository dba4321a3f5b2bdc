"""What the service is told of the events of the page."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio.context import LocalContext

from app.engine import Requester
from app.security.clients import COOKIE
from app.service import Service
from app.settings import Settings
from app.ui import mount


def test_an_event_s_client_and_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event's, which Gradio answers in another task than the request's; nobody's outside of any."""
    monkeypatch.setattr(mount, "build_page", lambda service: gr.Blocks(analytics_enabled=False))
    service = Service(Settings(output_dir=tmp_path))
    mount.mount_page(service)
    assert service.visitor() == Requester()
    seen = []
    for cookie in ("a" * 32, "b" * 32):
        event = SimpleNamespace(
            headers={"cookie": f"{COOKIE}={cookie}"}, client=SimpleNamespace(host="198.51.100.7"), request=None
        )
        token = LocalContext.request.set(event)  # type: ignore[arg-type]
        try:
            seen.append(service.visitor())
        finally:
            LocalContext.request.reset(token)
    one, other = seen
    assert one.client != other.client and one.durable and other.durable
    assert one.account == other.account == service.clients.account({}, "198.51.100.7")
    service.close()
