"""Command line and environment → one frozen Settings. No torch here: the page is up before torch is imported."""

from __future__ import annotations

import argparse
import inspect
import math
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Self

from ldm_core.sampling import Limits
from ldm_core.shipped import EMOJI_128

MIN_SIDE = 64  # pixels; a limit below would leave sizes nothing to choose from
SAYS = {  # defaults that are found, not written
    "data_dir": 'latent-lab in the user\'s data folder; "" keeps nothing',
    "client_history_bytes": "a fifth of them",
}
HOST = re.compile(r"[^\s/\\*?#@:\[\]]+(:\d+)?|\[[0-9a-fA-F:.]+\](:\d+)?")  # a host's name, its port where it has one
PREFIX = "LATENT_LAB_"  # LATENT_LAB_PORT=8000 is --port 8000; the command line wins


@dataclass(frozen=True)
class Settings:
    """Everything an operator may set: a field's name is its option and, in capitals, its environment variable, and
    what stands beside it is the option's help.
    """

    host: str = "127.0.0.1"  # address to listen on; 0.0.0.0 lets other machines in
    port: int = 7860  # to listen on; 0 is any that is free
    weights: Path = EMOJI_128  # the page's own model: a .safetensors or .ckpt file, or a diffusers folder
    models: Path | None = None  # folder of further weights files and diffusers folders to choose from
    model_bytes: int = 8_000_000_000  # bytes of weights in memory, --weights included; the model unused longest leaves
    device: str = "auto"  # auto, cpu, mps, cuda or cuda:1
    dtype: str = "auto"  # auto, float32, bfloat16 or float16
    runtime: str = "auto"  # auto, torch or openvino: what executes the networks
    threads: int | None = None  # threads of the processor; None is the runtime's own rule
    root_path: str = ""  # path under which a reverse proxy serves this, whether it strips it or not
    allowed_hosts: tuple[str, ...] = ()  # host names this server answers to, beside localhost and IP addresses
    trusted_proxies: tuple[str, ...] = ()  # addresses or networks whose X-Forwarded-* headers are believed
    data_dir: Path | None = None  # pictures, their history and the journal of jobs; None: nothing outlives the process
    history_bytes: int = 2_000_000_000  # bytes of pictures in the data folder; the oldest that are no favourites go
    client_history_bytes: int | None = None  # bytes of one person's or program's pictures there, below history_bytes
    history_days: int = 365  # days a picture that is no favourite stays there
    output_dir: Path | None = None  # None: a temporary folder that goes with the process
    keep_pictures: int = 1000  # in a temporary output folder; older ones are deleted
    lang: str = "en"  # en or zh: the page's language, until somebody chooses
    log_format: str = "text"  # text, or json: one object a line
    log_prompts: bool = False  # whether prompts are written to the log
    max_steps: int = Limits.max_steps  # steps of one request
    max_batch: int = Limits.max_batch  # pictures of one request
    max_side: int = Limits.max_side  # width and height of a picture, in pixels
    max_pixels: int = Limits.max_pixels  # batch × height × width of one request: four pictures of 1024²
    max_prompt_chars: int = Limits.prompt_chars  # characters of a prompt
    queue_size: int = 256  # jobs of everybody that may wait
    client_queue_size: int = 32  # jobs of one person or program that may wait
    api_keys: str = ""  # file with one key a line, or the keys between commas (LATENT_LAB_API_KEYS)
    page_password: str = ""  # the page asks for it (any user name); "" is none. The API has its keys
    requests_per_minute: int = 6000  # requests of one API key, else of one address; files of the page apart
    open: bool = False  # the API needs no key even where others than this machine reach it
    strict: bool = False  # each picture in network calls of its own: bit-equal whatever else is asked, and slower
    max_upload_bytes: int = 20_000_000  # bytes of one uploaded picture
    max_upload_pixels: int = 50_000_000  # pixels of one uploaded picture, read before it is decoded
    max_json_bytes: int = 1_000_000  # bytes of a request's body without pictures
    body_seconds: int = 120  # seconds within which a request has to arrive
    upload_seconds: int = 3600  # seconds an upload is kept, and counts for its address
    upload_quota_files: int = 1200  # files of one address's uploads; a start picture is sent in some six
    upload_quota_bytes: int = 400_000_000  # bytes of one address's uploads
    upload_total_bytes: int = 1_000_000_000  # bytes of all addresses' uploads
    max_sessions: int = 1000  # pages whose state is kept; the one unused longest goes first
    detach_seconds: float = 60.0  # seconds a job outlives the page that asked for it

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must lie in 0…65535, not {self.port}")
        if self.lang not in ("en", "zh"):
            raise ValueError(f"lang must be en or zh, not {self.lang!r}")
        if self.log_format not in ("text", "json"):
            raise ValueError(f"log_format must be text or json, not {self.log_format!r}")
        object.__setattr__(self, "root_path", _prefix(self.root_path))
        if self.runtime not in ("auto", "torch", "openvino"):
            raise ValueError(f"runtime must be auto, torch or openvino, not {self.runtime!r}")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads must be at least 1, not {self.threads}")
        for f in fields(self):
            if f.name != "port" and type(f.default) is int and getattr(self, f.name) < 1:
                raise ValueError(f"{f.name} must be at least 1, not {getattr(self, f.name)}")
        if self.max_side < MIN_SIDE:
            raise ValueError(f"max_side must be at least {MIN_SIDE} pixels, not {self.max_side}")
        if not (math.isfinite(self.detach_seconds) and self.detach_seconds >= 0):
            raise ValueError(f"detach_seconds must be a finite number of at least 0, not {self.detach_seconds}")
        if self.models is not None and not os.path.isdir(self.models):
            raise ValueError(f"models must be a folder, which {self.models} is not")
        self._check_history()
        self._check_names()

    def _check_history(self) -> None:
        """ValueError for what cannot be kept so."""
        if self.data_dir is not None and self.output_dir is not None:
            raise ValueError("data_dir holds the pictures too: give it or output_dir, not both")
        if not 0 < self.client_share < self.history_bytes:
            bounds = f"at least 1 and less than history_bytes, {self.history_bytes}"
            raise ValueError(f"client_history_bytes must be {bounds}, not {self.client_share}")

    def _check_names(self) -> None:
        """ValueError for a host, a host's name or a proxy that cannot be."""
        if not self.host.strip():
            raise ValueError("host must be an address or a name to listen on, not empty")
        for name in self.allowed_hosts:
            if not HOST.fullmatch(name):
                raise ValueError(f"allowed_hosts takes names like lab.example.org, not {name!r}")
        for address in self.trusted_proxies:
            ip_network(address, strict=False)  # ValueError says what is wrong with it

    @classmethod
    def from_args(cls, argv: Sequence[str] | None, environ: Mapping[str, str]) -> Self:
        """Parse; the usual argparse message and exit status 2 where an option is unknown or of the wrong type."""
        parser = argparse.ArgumentParser(
            description="Latent Lab: text to image you can open up", argument_default=argparse.SUPPRESS
        )
        kinds: dict[str, Callable[[str], Any]] = {
            "weights": _path, "models": _folder, "output_dir": _folder, "data_dir": _folder, "detach_seconds": float,
            "threads": int, "client_history_bytes": int, "allowed_hosts": _listed, "trusted_proxies": _listed,
        }  # fmt: skip
        told = _comments()
        for f in fields(cls):
            option, default = f"--{f.name.replace('_', '-')}", f"default: {SAYS.get(f.name, f.default)}"
            says = f"{told[f.name]} ({default})".replace("%", "%%") if f.name in told else default
            if isinstance(f.default, bool):
                parser.add_argument(option, type=_switch, nargs="?", const=True, help=says)
                continue
            kind = kinds.get(f.name) or (int if isinstance(f.default, int) else str)
            parser.add_argument(option, type=kind, help=says)
        named = {f.name: environ[PREFIX + f.name.upper()] for f in fields(cls) if PREFIX + f.name.upper() in environ}
        words = [f"--{name.replace('_', '-')}={value}" for name, value in named.items()]  # a value may begin with -
        values = vars(parser.parse_args([*words, *(argv if argv is not None else sys.argv[1:])]))
        if values.get("output_dir") is None:
            values.setdefault("data_dir", user_data(environ))
        try:
            return cls(**values)
        except ValueError as error:
            parser.error(str(error))

    @property
    def client_share(self) -> int:
        """Bytes of one client's pictures in the data folder."""
        return self.history_bytes // 5 if self.client_history_bytes is None else self.client_history_bytes

    @property
    def outputs(self) -> Path | None:
        """The folder that keeps the pictures; None where they go with the process."""
        return self.data_dir / "pictures" if self.data_dir is not None else self.output_dir


def _comments() -> dict[str, str]:
    """Field → what stands beside it in the source."""
    return dict(re.findall(r"^    (\w+): .*  # (.+)$", inspect.getsource(Settings), re.MULTILINE))


def user_data(environ: Mapping[str, str]) -> Path | None:
    """latent-lab in the user's data folder, made with mode 0700; None where there is none that can be written."""
    try:
        folder = Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "latent-lab"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError):  # RuntimeError: a user without a home, as containers run with --user
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~name/… of nobody here
        raise argparse.ArgumentTypeError(f"{text} lies in a home that is not there") from None


def _folder(text: str) -> Path | None:
    """A folder; "" is none."""
    return _path(text) if text else None


def _listed(text: str) -> tuple[str, ...]:
    """Words between commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _switch(text: str) -> bool:
    """on or off, as an environment variable says it."""
    values = {"1": True, "true": True, "on": True, "yes": True, "0": False, "false": False, "off": False, "no": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"must be on or off, not {text!r}")
    return values[text.lower()]


def _prefix(path: str) -> str:
    """A path as a prefix of others: lab, /lab and /lab/ are /lab; "/" is none."""
    prefix = f"/{path.strip('/')}" if path.strip("/") else ""
    if not re.fullmatch(r"(/[\w.~-]+)*", prefix):
        raise ValueError(f"root_path must be a path like /lab, not {path!r}")
    return prefix
