"""The real openai client on the whole app with a fake model; tests/clients has a real one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import openai
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient


@pytest.fixture
def client(app: FastAPI) -> Iterator[openai.OpenAI]:
    with TestClient(app) as http:
        yield openai.OpenAI(base_url="http://testserver/v1", api_key="none", http_client=http, max_retries=0)


@pytest.mark.parametrize(
    ("model", "asked", "answered"),
    [
        ("dall-e-2", None, "url"),
        ("dall-e-3", None, "url"),
        ("dall-e-3", "b64_json", "b64_json"),
        ("gpt-image-1", None, "b64_json"),
        ("chatgpt-image-latest", None, "b64_json"),
        (None, None, "b64_json"),
        (None, "url", "url"),
    ],
)
def test_openai_s_models_answer_in_their_own_form(
    client: openai.OpenAI, model: str | None, asked: str | None, answered: str
) -> None:
    made = client.images.generate(prompt="a", model=model, response_format=asked)  # type: ignore[arg-type]
    assert made.data is not None
    assert {"url", "b64_json"} & made.data[0].model_fields_set == {answered}, "the other is not null but absent"


def test_what_was_cancelled_is_not_asked_for_again(app: FastAPI, client: openai.OpenAI) -> None:
    """OpenAI's client tries a 409 again by itself."""
    fake, key = app.state.fake, {"Authorization": "Bearer none"}
    fake.gate.clear()

    def interrupt() -> None:
        other = TestClient(app, headers=key)
        while not other.get("/v1/jobs").json():
            time.sleep(0.02)
        other.post("/sdapi/v1/interrupt")
        fake.gate.set()  # what is asked for again would be drawn

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(openai.ConflictError, match="was cancelled"):
        client.with_options(max_retries=2).images.generate(prompt="wait")
    thread.join()


def test_one_model(client: openai.OpenAI) -> None:
    [own] = client.models.list()
    assert client.models.retrieve(own.id) == own
    with pytest.raises(openai.NotFoundError, match="no model 'other'"):
        client.models.retrieve("other")
