"""What OpenAPI allows, asked by schemathesis: no 500, no undocumented answer. The model is a fake, all else is real."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from starlette.applications import Starlette

from app.i18n import Sentence
from app.loading import State
from app.server import build
from app.settings import Settings
from tests.app.engine.fake import FakeModel

CHECKS = (
    not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
    checks.response_schema_conformance,
)  # fmt: skip
LITTLE = settings(
    max_examples=8, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@asynccontextmanager
async def idle(_app: FastAPI) -> AsyncIterator[None]:
    yield


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """Ready, with a history, and without the start that would load a model and build the page."""
    limits = {"max_steps": 2, "max_side": 64, "requests_per_minute": 10**9, "allowed_hosts": ("testserver",)}
    app = build(Settings(data_dir=tmp_path_factory.mktemp("data"), **limits))
    service = app.state.service
    service.loader.pipe = SimpleNamespace(weights_sha256="0" * 64, tokenizer=None)
    service.loader.state = State("ready", Sentence("state_ready"), "tiny")
    service.engine.start(FakeModel())
    app.state.page.app = Starlette()
    app.router.lifespan_context = idle
    yield app
    service.close()


def test_every_answer_is_a_documented_one(app: FastAPI) -> None:
    """In one test: schemathesis' own parametrization does not know this pytest."""
    faults: list[str] = []
    for found in schemathesis.openapi.from_asgi("/openapi.json", app).get_all_operations():
        operation = found.ok()

        @LITTLE
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS)

        try:
            ask()
        except BaseExceptionGroup as errors:
            faults += [f"{operation.label}: {error}" for error in errors.exceptions]
        except Exception as error:
            faults.append(f"{operation.label}: {error}")
    assert not faults, "\n\n".join(faults)
