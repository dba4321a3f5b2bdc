"""Every answer is a documented one. The model is a fake, all else is real; tests/clients asks a real server longer."""

from __future__ import annotations

from collections import Counter

import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.api.errors import ApiError, to_api_error
from app.api.generation import result_or_error
from app.engine import Cancelled, Failed, Job
from app.i18n import Sentence
from app.schemas import RequestError
from ldm_core.sampling import SamplingParams
from tests.app.api.documented import faults


def test_every_answer_is_a_documented_one(app: FastAPI) -> None:
    """In one test: schemathesis' own parametrization does not know this pytest."""
    client = TestClient(app)

    def owned() -> dict[str, str]:
        job = client.post("/v1/jobs", json={"prompt": "a", "steps": 1}).json()["id"]
        app.state.latent_lab.service.job(job).wait()
        [picture, *_] = client.get("/v1/history").json()
        return {"job_id": job, "name": picture["name"]}

    seen: Counter[int] = Counter()
    found = list(faults(schemathesis.openapi.from_asgi("/openapi.json", app), 0, owned, seen))
    assert not found, "\n\n".join(found)
    assert seen[200] > 50 and seen[404] and seen[400]


def test_every_json_answer_is_described_and_an_edit_has_all_fields_of_a_generation(app: FastAPI) -> None:
    schema = TestClient(app).get("/openapi.json").json()
    bare = [
        f"{method} {path}"
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
        for answer in [operation["responses"].get("200", {}).get("content", {}).get("application/json")]
        if answer is not None and not answer["schema"]
    ]
    assert bare == ["post /sdapi/v1/options"]  # null
    edit = schema["paths"]["/v1/images/edits"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    generation = schema["components"]["schemas"]["ImagesRequest"]["properties"]
    assert set(edit["properties"]) == {*generation, "image", "image[]", "mask"}


def test_a_full_disk_is_no_fault_of_the_request() -> None:
    for key, status in (("not_kept", 503), ("history_full", 503), ("client_history_full", 400), ("prompt_empty", 400)):
        assert to_api_error(RequestError(key, reason="No space left on device")).status == status


def test_how_a_job_failed_is_a_status() -> None:
    said = Sentence("as_said", {"text": "It cannot follow a prompt."})
    for end, status in (
        (Failed(said, client_error=True), 400),
        (Failed(said), 500),
        (Failed(Sentence("not_saved", {"reason": "No space left on device"})), 503),
        (Cancelled(0, 1), 409),
    ):
        job = Job(SamplingParams("a"))
        job.end(end)
        with pytest.raises(ApiError) as error:
            result_or_error(job)
        assert error.value.status == status
