"""The real app on a fake model: ready, with a history, without the start that would load weights and build the page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette

from app.i18n import Sentence
from app.models.loader import State
from app.server import build
from app.settings import Settings
from tests.app.engine.fake import Alone, FakeModel


@asynccontextmanager
async def idle(_app: FastAPI) -> AsyncIterator[None]:
    yield


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    limits = {
        "max_steps": 2,
        "max_side": 64,
        "requests_per_minute": 10**9,
        "allowed_hosts": ("testserver",),
        "open": True,
    }
    app = build(Settings(data_dir=tmp_path_factory.mktemp("data"), **limits))
    service = app.state.latent_lab.service
    service.loader.pipe = SimpleNamespace(weights_sha256="0" * 64, tokenizer=None)
    service.loader.state = State("ready", Sentence("state_ready"), "tiny")
    app.state.fake = FakeModel()
    service.engine.start(Alone(app.state.fake))
    app.state.latent_lab.page.app = Starlette()
    app.router.lifespan_context = idle
    yield app
    service.close()
