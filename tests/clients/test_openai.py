"""The real openai client."""

from __future__ import annotations

import base64
import io
import time
import urllib.request

import httpx
import numpy as np
import openai
import pytest
from PIL import Image

from tests.app.serving import Served
from tests.clients.conftest import KEY


@pytest.fixture
def client(served: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key=KEY, max_retries=0)


def picture(text: str | None) -> Image.Image:
    assert text is not None
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]


def test_generate(client: openai.OpenAI) -> None:
    """More pictures than the batch limit, at the model's size; the same seed is the same picture."""
    more = {"seed": 5, "num_inference_steps": 2, "sampler": "euler", "negative_prompt": "blue"}
    made = client.images.generate(model="tiny", prompt="a red apple", n=10, extra_body=more)
    assert made.data is not None and len(made.data) == 10 and made.size == "32x32"
    one = client.images.generate(prompt="a red apple", extra_body={**more, "seed": 14})
    assert one.data is not None
    a, b = (np.asarray(picture(data.b64_json)).astype(int) for data in (made.data[9], one.data[0]))
    assert np.abs(a - b).max() <= 1


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_formats_and_sizes(client: openai.OpenAI, kind: str) -> None:
    made = client.images.generate(prompt="a", size="100x50", quality="low", output_format=kind)  # type: ignore[call-overload]
    image = picture(made.data[0].b64_json)
    assert image.format == kind.upper() and image.size == (100, 50)
    assert made.data[0].made_at == "44x24", "scaled, and said"


def test_what_is_left_open_may_be_null(client: openai.OpenAI) -> None:
    named = [
        "n",
        "size",
        "quality",
        "output_format",
        "output_compression",
        "background",
        "response_format",
        "stream",
        "partial_images",
    ]
    made = client.images.generate(prompt="a", extra_body={**dict.fromkeys(named), "num_inference_steps": 1})
    assert made.data is not None and len(made.data) == 1


def test_a_url_is_signed(client: openai.OpenAI, served: Served) -> None:
    made = client.images.generate(prompt="a", response_format="url", extra_body={"num_inference_steps": 1})
    assert made.data is not None and made.data[0].url is not None
    path = made.data[0].url.removeprefix(served.url)
    assert served.get(path.replace("signature=", "signature=0"))[0] == 404
    assert served.get(path.partition("?")[0])[0] == 404
    with urllib.request.urlopen(made.data[0].url) as answer:
        assert Image.open(answer).size == (32, 32)


def test_a_url_gives_the_picture_as_it_was_asked_for(client: openai.OpenAI, served: Served) -> None:
    made = client.images.generate(
        prompt="a", response_format="url", size="100x50", output_format="webp", extra_body={"num_inference_steps": 1}
    )
    assert made.data is not None and made.data[0].url is not None
    with urllib.request.urlopen(made.data[0].url) as answer:
        image = Image.open(io.BytesIO(answer.read()))
    assert (image.format, image.size) == ("WEBP", (100, 50))
    forged = made.data[0].url.removeprefix(served.url).replace("webp-100", "webp-4000")
    assert served.get(forged)[0] == 404


def test_stream(client: openai.OpenAI) -> None:
    stream = client.images.generate(
        prompt="a", stream=True, partial_images=2, extra_body={"num_inference_steps": 300}, size="64x64"
    )
    events = list(stream)
    kinds = [event.type for event in events]
    assert kinds[-1] == "image_generation.completed" and kinds[0] == "image_generation.partial_image"
    assert len(kinds) <= 3
    assert [e.partial_image_index for e in events if e.type == "image_generation.partial_image"] == list(
        range(len(kinds) - 1)
    )
    assert all(picture(event.b64_json).size == (64, 64) for event in events)


def test_a_stream_of_two_shows_each_by_itself(client: openai.OpenAI) -> None:
    stream = client.images.generate(
        prompt="a", n=2, stream=True, partial_images=1, extra_body={"num_inference_steps": 300, "seed": 7}
    )
    events = list(stream)
    partial = [event for event in events if event.type == "image_generation.partial_image"]
    assert [getattr(event, "seed", None) for event in partial] == [7, 8]
    assert [event.partial_image_index for event in partial] == [0, 0]
    assert [event.type for event in events[len(partial) :]] == ["image_generation.completed"] * 2


def edited(client: openai.OpenAI, image: Image.Image, mask: Image.Image) -> Image.Image:
    files = []
    for made in (image, mask):
        buffer = io.BytesIO()
        made.save(buffer, format="PNG")
        files.append(("a.png", buffer.getvalue(), "image/png"))
    steps = {"num_inference_steps": 2}
    made = client.images.edit(image=[files[0]], mask=files[1], prompt="b", extra_body=steps)
    assert made.data is not None
    changed = picture(made.data[0].b64_json)
    assert made.size == f"{changed.width}x{changed.height}" and made.data[0].model_extra["made_at"] == made.size
    return changed


@pytest.mark.parametrize("painted", [(0, 0, 0, 0), (255, 255, 255, 255)], ids=["transparent", "white, all opaque"])
def test_edit(client: openai.OpenAI, painted: tuple[int, ...]) -> None:
    """OpenAI's mask repaints where it is transparent; one without transparency where it is white."""
    mask = Image.new("RGBA", (32, 32), (0, 0, 0, 255))
    mask.paste(painted, (0, 0, 16, 32))
    pixels = np.asarray(edited(client, Image.new("RGB", (32, 32), (200, 40, 90)), mask))
    assert (pixels[:, 17:] == (200, 40, 90)).all() and not (pixels[:, :16] == (200, 40, 90)).all()


def test_an_edit_keeps_the_whole_of_a_wide_picture(client: openai.OpenAI) -> None:
    """Without `size` it was cut to its middle square."""
    image, mask = Image.new("RGB", (64, 32), "red"), Image.new("L", (64, 32))
    image.paste("blue", (48, 0, 64, 32))
    mask.paste(255, (24, 8, 40, 24))
    changed = edited(client, image, mask)
    assert changed.size == (44, 24), "the model's area"
    pixels = np.asarray(changed)
    assert (pixels[:, :8] == (255, 0, 0)).all() and (pixels[:, -8:] == (0, 0, 255)).all()


def test_an_upload_is_measured_before_it_is_read(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError, match="at most 20 MB") as caught:
        client.images.edit(image=("a.png", bytes(20_000_001), "image/png"), prompt="b")
    assert caught.value.status_code == 413


@pytest.mark.parametrize(
    ("arguments", "status", "param"),
    [
        ({"prompt": ""}, 400, "prompt"),
        ({"prompt": "a", "n": 11}, 400, "n"),
        ({"prompt": "a", "size": "wide"}, 400, "size"),
        ({"prompt": "a", "background": "transparent"}, 400, "background"),
        ({"prompt": "a", "extra_body": {"num_inference_steps": 0}}, 400, "steps"),
        ({"prompt": "a", "extra_body": {"seed": "many"}}, 400, "seed"),
    ],
)
def test_faults_name_their_field(
    client: openai.OpenAI, arguments: dict[str, object], status: int, param: str | None
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.images.generate(**arguments)  # type: ignore[call-overload]
    assert caught.value.status_code == status
    body = caught.value.body
    assert isinstance(body, dict) and body["param"] == param and body["message"]


def test_without_a_key(served: Served) -> None:
    for key in ("wrong", ""):
        with pytest.raises(openai.AuthenticationError, match="needs a key"):
            openai.OpenAI(base_url=f"{served.url}/v1", api_key=key or "none", max_retries=0).models.list()


@pytest.mark.parametrize("streaming", [False, True])
def test_a_client_that_leaves_stops_its_picture(client: openai.OpenAI, served: Served, streaming: bool) -> None:
    images, steps = client.with_options(timeout=1.0).images, {"num_inference_steps": 1000}
    if streaming:
        with images.generate(prompt="slow", extra_body=steps, n=8, stream=True, partial_images=1) as stream:
            next(iter(stream))
    else:
        with pytest.raises(openai.APITimeoutError):
            images.generate(prompt="slow", extra_body=steps, n=8)
    end, key = time.monotonic() + 5, {"Authorization": f"Bearer {KEY}"}
    while httpx.get(f"{served.url}/v1/jobs", headers=key).json():
        assert time.monotonic() < end, "the job runs on"
        time.sleep(0.1)
    assert streaming or "path=/v1/images/generations status=499" in served.log.read_text()
