"""/v1/history and the archive, without a model: the journal, the routes, and two clients."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.api import routes
from app.api.dependencies import AppState
from app.engine import Job, Requester
from app.history import History
from app.live import Live
from app.schemas import GeneratedImage
from app.security.clients import COOKIE, Clients
from app.settings import Settings
from app.starting import Page
from ldm_core.sampling import SamplingParams

KEY = {"authorization": "Bearer one"}
VISITOR = {"cookie": f"{COOKIE}={'a' * 32}"}


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    history = History(tmp_path, Settings())
    yield history
    history.close()


@pytest.fixture
def client(history: History) -> TestClient:
    app = FastAPI()
    settings = Settings(api_keys="one,two", data_dir=history.pictures.parent)
    service: Any = SimpleNamespace(
        history=history,
        clients=Clients(settings),
        settings=settings,
        outputs=history.pictures,
        keeper=SimpleNamespace(link_key=history.link_key),
    )
    app.state.latent_lab = AppState(service, Page(service), Live(service))
    routes.include(app)
    return TestClient(app)


def made(history: History, client: TestClient, headers: dict[str, str], prompt: str, model: str, batch: int) -> None:
    """A finished job of whoever sends these headers; its files hold the prompt."""
    whose = client.app.state.latent_lab.service.clients.of(headers, "testclient")  # type: ignore[attr-defined]
    job = Job(SamplingParams(prompt, seed=7, batch=batch), requester=Requester(whose, durable=True))
    images = []
    for k in range(batch):
        path = history.pictures / f"{job.id[:12]}-{7 + k}.png"
        path.write_text(prompt)
        images.append(GeneratedImage(path, 7 + k, 8, 8))
    history.journal.accept(job)
    history.finish(job, images, model)


def test_filters_and_pages(history: History, client: TestClient) -> None:
    made(history, client, KEY, "a red apple", "one", 3)
    made(history, client, KEY, "a blue cat", "two", 2)
    made(history, client, {"authorization": "Bearer two"}, "a red secret", "one", 1)

    def listed(**query: object) -> list[tuple[str, int]]:
        answer = client.get("/v1/history", params=query, headers=KEY)  # type: ignore[arg-type]
        return [(entry["prompt"], entry["seed"]) for entry in answer.json()]

    cats, apples = [("a blue cat", 7), ("a blue cat", 8)], [("a red apple", 7), ("a red apple", 8), ("a red apple", 9)]
    assert listed() == [*cats, *apples]
    assert listed(q="RED") == apples and listed(model="two") == cats and listed(q="red", model="two") == []
    entries = client.get("/v1/history", headers=KEY).json()
    assert listed(since=entries[1]["created"]) == cats
    paged, before = [], None
    while page := client.get(
        "/v1/history", params={"limit": 2, **({"before": before} if before else {})}, headers=KEY
    ).json():
        paged, before = [*paged, *page], page[-1]["created"]
    assert [entry["name"] for entry in paged] == [entry["name"] for entry in entries], "a page ends within a job"
    assert client.patch(f"/v1/history/{entries[0]['name']}", json={"favourite": True}, headers=KEY).status_code == 200
    assert listed(favourites=True) == cats[:1]
    assert client.get(entries[0]["url"].removeprefix("http://testserver")).text == "a blue cat"


def test_nobody_else_s(history: History, client: TestClient) -> None:
    made(history, client, KEY, "mine", "one", 1)
    [entry] = client.get("/v1/history", headers=KEY).json()
    path, two = f"/v1/history/{entry['name']}", {"authorization": "Bearer two"}
    assert client.patch(path, json={"favourite": True}, headers=two).status_code == 404
    assert client.delete(path, headers=two).status_code == 404
    assert client.get("/v1/history", headers=VISITOR).status_code == 401
    assert client.delete(path, headers=KEY).status_code == 204
    assert not (history.pictures / entry["name"]).exists()


def test_the_archive_holds_one_s_own_and_needs_no_key(history: History, client: TestClient) -> None:
    made(history, client, VISITOR, "a red apple", "one", 2)
    made(history, client, VISITOR, "a blue cat", "one", 1)
    made(history, client, KEY, "a red secret", "one", 1)

    def contents(headers: dict[str, str], **query: str) -> list[str]:
        answer = client.get("/pictures.zip", params=query, headers=headers)
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.testzip() is None
            return [archive.read(name).decode() for name in archive.namelist()]

    assert contents(VISITOR) == ["a blue cat", "a red apple", "a red apple"]
    assert contents(VISITOR, q="cat") == ["a blue cat"]
    assert contents(KEY) == ["a red secret"] and contents({}) == []
    gone = history.images(client.app.state.latent_lab.service.clients.of(VISITOR, ""))[0]  # type: ignore[attr-defined]
    (history.pictures / gone.name).unlink()
    assert contents(VISITOR) == ["a red apple", "a red apple"]
