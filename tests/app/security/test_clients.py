"""Whose request it is, who is let in, and whose files are served."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.security.clients import COOKIE, ClientCookie, Clients, OwnFiles, read_keys
from app.security.messages import credential
from app.settings import Settings


def basic(password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"me:{password}".encode()).decode()}


def test_keys_from_a_file_or_a_list(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("one # mine\n\n# nobody's\ntwo\n")
    assert read_keys(str(file)) == ("one", "two")
    assert read_keys("a, b") == ("a", "b")
    file.write_text("one#two\t# mine\n  # nobody's\n#three\nfour#\n")
    assert read_keys(str(file)) == ("one#two", "four#"), "else what is left of a key is shorter than its owner thinks"
    assert read_keys("a#1, #b, c # d") == ("a#1", "#b", "c # d")
    assert read_keys("") == () and len(read_keys("k" * 5000)) == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_keys_from_a_file_of_any_encoding_in_the_home(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "keys").write_bytes("one\ntwo\n".encode(encoding))
    assert read_keys("~/keys") == ("one", "two")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("/nowhere/keys", "the file of API keys /nowhere/keys is not there"),
        ("./keys", "not there"),
        ("~/nowhere/keys", "not there"),
        ("~nobody9/keys", "not there"),
        ("keys.TXT", "not there"),
        ("lab.keys", "not there"),
        ("lab.env", "not there"),
        ("/dev/zero", "not a regular file"),
        (str(Path(__file__).parent), "a directory"),
        (",", "holds no key"),
    ],
)
def test_keys_that_are_not_there_are_a_sentence(source: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        Clients(Settings(api_keys=source))
    assert "\n" not in str(error.value)


def test_a_file_without_a_key_opens_nothing(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("# none yet\n\n")
    with pytest.raises(ValueError, match="holds no key"):
        read_keys(str(tmp_path / "keys"))


def test_a_client_is_its_key_else_cookie_else_token_else_address() -> None:
    clients = Clients(Settings(api_keys="one,two"))
    cookie = {"cookie": f"{COOKIE}={'a' * 32}"}
    one = clients.of({"authorization": "Bearer one", **cookie}, "10.0.0.1")
    assert one == clients.of(basic("one"), "10.0.0.2") != clients.of(basic("two"), "10.0.0.2")
    mine = clients.of({"authorization": "Bearer unknown", **cookie}, "10.0.0.1")
    assert mine == clients.of(cookie, "10.0.0.9") and "a" * 8 not in mine
    sdk = {"authorization": "Bearer none"}
    assert clients.of(sdk, "10.0.0.1") != clients.of(sdk, "10.0.0.2")
    assert clients.of({}, "2001:db8::1") == clients.of({}, "2001:db8::2") != clients.of({}, "2001:db9::1")
    for beside in ('prefs={"a":1}; ', "a[b]=c; ", "; ", "odd; "):  # of other programs at the same name
        assert clients.of({"cookie": f"{beside}{COOKIE}={'a' * 32}"}, "10.0.0.9") == mine
    assert clients.of({"cookie": f"{COOKIE}=short"}, "10.0.0.1") == clients.of({}, "10.0.0.1")


@pytest.mark.parametrize(
    ("settings", "headers", "says"),
    [
        ({}, {}, None),
        ({"host": "0.0.0.0"}, {}, "closed"),
        ({"host": "0.0.0.0", "open": True}, {}, None),
        ({"trusted_proxies": ("127.0.0.1",)}, {}, "closed"),
        ({"allowed_hosts": ("lab.example.org",)}, {}, "closed"),
        ({"root_path": "/lab"}, {}, "closed"),
        ({"allowed_hosts": ("lab.example.org",), "open": True}, {}, None),
        ({"api_keys": "one"}, {}, "needs a key"),
        ({"api_keys": "one", "host": "0.0.0.0"}, {"authorization": "Bearer one"}, None),
        ({"api_keys": "one", "open": True}, basic("other"), "needs a key"),
    ],
)
def test_who_may_use_the_api(settings: dict[str, Any], headers: dict[str, str], says: str | None) -> None:
    refusal = Clients(Settings(**settings)).refusal(headers)
    assert refusal is None if says is None else says in (refusal or "")


@pytest.mark.parametrize("value", ["Basic !", "Basic " + base64.b64encode(b"\xff").decode(), "Digest x", ""])
def test_rubbish_is_no_credential(value: str) -> None:
    assert credential(value) == ""


def page(_request: object) -> PlainTextResponse:
    return PlainTextResponse("page")


def test_the_page_gives_one_cookie_that_no_script_reads() -> None:
    app = ClientCookie(Starlette(routes=[Route("/", page), Route("/other", page)]))
    client = TestClient(app)
    assert "set-cookie" not in client.get("/other").headers
    cookie = client.get("/").headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie
    assert client.get("/").headers["set-cookie"] == cookie, "the same one, for another year"
    foreign = {"cookie": f"{COOKIE}={'x' * 32}"}
    assert "set-cookie" not in TestClient(app).get("/", headers=foreign).headers, "what a browser says is not sent back"
    assert "Secure" in TestClient(app, base_url="https://testserver").get("/").headers["set-cookie"]


def test_a_picture_is_served_to_its_client_only(tmp_path: Path) -> None:
    clients = Clients(Settings())
    jar = {"cookie": f"{COOKIE}={'a' * 32}"}
    owners = {"mine.png": clients.of(jar, "testclient")}
    inner = Starlette(routes=[Route("/gradio_api/file={path:path}", page)])
    client = TestClient(OwnFiles(inner, clients, tmp_path, owners.get))
    mine = f"/gradio_api/file={tmp_path}/mine.png"
    assert client.get(mine, headers=jar).status_code == 200
    assert client.get(mine).status_code == 404
    assert client.get(mine, headers={"cookie": f"{COOKIE}={'b' * 32}"}).status_code == 404
    assert client.get(f"/gradio_api/file={tmp_path}/x/%2e%2e/mine.png").status_code == 404
    assert client.get(f"/gradio_api/file={tmp_path}/nobody.png", headers=jar).status_code == 404
    assert client.get("/gradio_api/file=/elsewhere/a.png").status_code == 200, "Gradio's own to judge"


def test_a_picture_s_relative_name_is_judged_as_gradio_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = Clients(Settings())
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    inner = Starlette(routes=[Route("/gradio_api/file={path:path}", page)])
    jar = {"cookie": f"{COOKIE}={'a' * 32}"}
    owner = clients.of(jar, "testclient")
    client = TestClient(OwnFiles(inner, clients, tmp_path / "out", lambda _name: owner))
    for name in ("out/mine.png", "./out/mine.png", f"{tmp_path}/out/mine.png".lstrip("/")):
        assert client.get(f"/gradio_api/file={name}", headers=jar).status_code == 200
        assert client.get(f"/gradio_api/file={name}").status_code == 404
    assert client.get("/gradio_api/file=out/a%00.png").status_code == 404
