"""A server's pictures from the command line or a notebook: `python -m app.client "a red apple" --server URL`."""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ldm_core.files import print_anywhere

DEFAULT_SERVER = "http://127.0.0.1:7860"
TIMEOUT_SECONDS = 60
PATIENCE_SECONDS = 60  # how long a server may be away while a job is followed: it knows the job when it is back
RETRY_SECONDS = 1.0  # between two attempts meanwhile
ENDED = "The server has ended the connection."
ENDS = ("done", "failed", "cancelled")


class ServerError(Exception):
    """The server's refusal in one sentence, or why it could not be reached."""


class NoAnswer(ServerError):
    """The server could not be reached, or has ended the connection."""


@dataclass(frozen=True)
class JobEvent:
    """One event of a job: queued, loading, started, step, done, failed or cancelled, and what comes with it."""

    name: str
    values: dict[str, Any]
    number: str = ""  # to go on from after it

    @property
    def preview(self) -> bytes | None:
        """A step's picture so far as a PNG file."""
        text = self.values.get("preview")
        return base64.b64decode(text) if text else None


class RemotePicture(bytes):
    """A PNG file that a notebook shows."""

    def __repr__(self) -> str:
        return f"<PNG of {len(self)} bytes>"

    def _repr_png_(self) -> bytes:
        return bytes(self)


class Client:
    """A server. `generate` waits for pictures; `submit`, `events`, `cancel` are its parts.

    >>> Client().generate("a red apple", seed=7)[0]  # doctest: +SKIP
    """

    def __init__(self, server: str = DEFAULT_SERVER, key: str | None = None) -> None:
        """`key` is an API key where the server asks for one; else $LATENT_LAB_KEY."""
        self.server = server.rstrip("/")
        self._key = key or os.environ.get("LATENT_LAB_KEY", "")

    @classmethod
    def from_args(cls, options: argparse.Namespace) -> Self:
        """A client from the command line's options."""
        return cls(options.server, options.key)

    def submit(self, prompt: str, **settings: Any) -> str:
        """Queue a job with the settings of /v1/jobs; its id."""
        made: str = self._json("POST", "/v1/jobs", {"prompt": prompt, **settings})["id"]
        return made

    def events(self, job_id: str) -> Iterator[JobEvent]:
        """A job's events to its end. Where the connection breaks they go on when the server is back, soon enough."""
        last, lost = "", 0.0
        while True:
            try:
                for event in self._events(job_id, last):
                    last, lost = event.number, 0.0
                    yield event
                    if event.name in ENDS:
                        return
                raise NoAnswer(ENDED)
            except NoAnswer:
                lost = lost or time.monotonic()
                if time.monotonic() - lost > PATIENCE_SECONDS:
                    raise
                time.sleep(RETRY_SECONDS)

    def _events(self, job_id: str, after: str) -> Iterator[JobEvent]:
        """Events after the one of this number, until the connection ends."""
        fields: dict[str, str] = {}
        with self._open("GET", f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": after}) as answer:
            for line in _lines(answer):
                name, _, value = line.decode().rstrip("\r\n").partition(": ")
                if name:
                    fields[name] = value
                elif "data" in fields:
                    yield JobEvent(fields["event"], json.loads(fields["data"]), fields.get("id", ""))
                    fields = {}

    def cancel(self, job_id: str) -> None:
        """Stop a job on the server."""
        self._json("DELETE", f"/v1/jobs/{job_id}")

    def generate(self, prompt: str, **settings: Any) -> list[RemotePicture]:
        """The finished pictures as PNG files. In a notebook previews are shown on the way; an interrupt cancels."""
        job_id, output = self.submit(prompt, **settings), CellOutput()
        try:
            for event in self.events(job_id):
                if event.preview is not None:
                    output.show(event.preview)
                if event.name in ("failed", "cancelled"):
                    raise ServerError(event.values.get("message") or "The job was cancelled.")
                if event.name == "done":
                    return [self.picture(image["url"]) for image in event.values["images"]]
        except BaseException:
            with contextlib.suppress(ServerError):  # the reason is worth more
                self.cancel(job_id)
            raise
        raise AssertionError("events end with an end")

    def picture(self, url: str) -> RemotePicture:
        """A picture by the address an event gave. Where the connection breaks it is asked for again, as events are."""
        parts = urllib.parse.urlsplit(url)  # from this server, whatever name it has for itself
        path = parts.path.removeprefix(urllib.parse.urlsplit(self.server).path)  # and its prefix stands once
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with self._open("GET", f"{path}?{parts.query}") as answer:
                    return RemotePicture(_read(answer))
            except NoAnswer:
                if time.monotonic() > end:
                    raise
                time.sleep(RETRY_SECONDS)

    def _json(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        with self._open(method, path, body) as answer:
            values: dict[str, Any] = json.loads(_read(answer))
            return values

    def _open(
        self, method: str, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> Any:
        if urllib.parse.urlsplit(self.server).scheme not in ("http", "https"):
            raise ServerError(f"{self.server} is no http address.")
        headers = {"Content-Type": "application/json", **(headers or {})}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.server + path, content, headers, method=method)  # noqa: S310
        try:
            return urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)  # noqa: S310
        except urllib.error.HTTPError as error:
            away = error.code in (502, 503, 504)  # so a proxy says that the server is being started again
            raise (NoAnswer if away else ServerError)(_sentence(error)) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise NoAnswer(f"{self.server} does not answer: {reason}.") from None


@contextlib.contextmanager
def _connected() -> Iterator[None]:
    """NoAnswer where the connection breaks while an answer is read."""
    try:
        yield
    except (OSError, http.client.HTTPException):
        raise NoAnswer(ENDED) from None


def _read(answer: Any) -> bytes:
    with _connected():
        content: bytes = answer.read()
        return content


def _lines(answer: Any) -> Iterator[bytes]:
    with _connected():
        yield from answer


def _sentence(error: urllib.error.HTTPError) -> str:
    try:
        body = json.loads(_read(error))
        return str(body["error"]["message"] if "error" in body else body["detail"])
    except (ValueError, KeyError, TypeError, NoAnswer):
        return f"The server answered {error.code}."


class CellOutput:
    """Where a job's previews show in a notebook's cell, each in place of the last; outside notebooks they do not."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, png: bytes) -> None:
        """A preview in place of the last one."""
        if self._handle is not None:
            self._handle.update(RemotePicture(png))
        elif _in_notebook():
            from IPython.display import display  # type: ignore[import-not-found]

            self._handle = display(RemotePicture(png), display_id=True)


def _in_notebook() -> bool:
    """Whether a kernel runs this: IPython in a terminal, or merely imported, shows no pictures."""
    if "IPython" not in sys.modules:
        return False
    return hasattr(sys.modules["IPython"].get_ipython(), "kernel")


def main(argv: Sequence[str] | None = None) -> int:
    """The command: a bar on stderr, files on disk, their paths (with --json all that is known) on stdout."""
    print_anywhere()
    parser = argparse.ArgumentParser(prog="python -m app.client", description="Pictures from a Latent Lab server")
    parser.add_argument("prompt")
    parser.add_argument("--server", default=DEFAULT_SERVER, help=f"default: {DEFAULT_SERVER}")
    parser.add_argument("--key", help="API key; else $LATENT_LAB_KEY")
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for the pictures; default: this one")
    parser.add_argument("--json", action="store_true", help="say what was made as JSON")
    for name, kind in (
        ("steps", int),
        ("seed", int),
        ("batch", int),
        ("width", int),
        ("height", int),
        ("eta", float),
        ("guidance-scale", float),
        ("sampler", str),
        ("negative-prompt", str),
        ("model", str),
    ):
        parser.add_argument(f"--{name}", type=kind)
    options = parser.parse_args(argv)
    known = ("prompt", "server", "key", "out", "json")
    settings = {name: value for name, value in vars(options).items() if name not in known and value is not None}
    try:
        return _run(Client.from_args(options), options, settings)
    except ServerError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    except OSError as error:  # of the folder: the server's are ServerErrors
        print(f"{error.strerror}: {error.filename}", file=sys.stderr)  # noqa: T201
        return 1


def _run(client: Client, options: argparse.Namespace, settings: dict[str, Any]) -> int:
    from tqdm import tqdm

    job_id = client.submit(options.prompt, **settings)
    end: JobEvent | None = None
    try:
        with tqdm(total=1, file=sys.stderr, unit="step", disable=options.json) as bar:
            for event in client.events(job_id):
                if event.name == "queued":
                    bar.set_description(f"position {event.values['position']}")
                elif event.name == "loading":
                    bar.set_description(f"{event.values['model']} is loading, {100 * event.values['progress']:.0f} %")
                elif event.name in ("started", "step"):
                    bar.set_description("")
                    bar.total, bar.n = event.values["n"], event.values.get("i", 0)
                    bar.refresh()
                end = event
    except KeyboardInterrupt:
        with contextlib.suppress(ServerError):
            client.cancel(job_id)
        print("Cancelled.", file=sys.stderr)  # noqa: T201
        return 130
    if end is None or end.name != "done":
        raise ServerError((end.values.get("message") if end else None) or "The job was cancelled.")
    options.out.mkdir(parents=True, exist_ok=True)
    made = []
    for image in end.values["images"]:
        path = options.out / Path(urllib.parse.urlsplit(image["url"]).path).name
        path.write_bytes(client.picture(image["url"]))
        made.append({"path": str(path), "seed": image["seed"], "width": image["width"], "height": image["height"]})
    text = json.dumps({"job": job_id, "images": made}) if options.json else "\n".join(i["path"] for i in made)
    print(text)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
