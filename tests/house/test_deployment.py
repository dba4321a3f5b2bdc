"""What docs/operations.md tells an operator to write, as far as it can be checked where nothing is deployed."""

from __future__ import annotations

import re

import yaml

from tests.app.serving import ROOT

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
DEPLOYMENT = OPERATIONS.partition("## A deployment")[2].partition("\n## ")[0]


def test_the_port_stays_closed_at_the_next_start_and_nothing_of_it_is_committed() -> None:
    assert "LATENT_LAB_PORT=127.0.0.1:7860` into a file `.env`" in DEPLOYMENT
    assert not re.search(r"LATENT_LAB_PORT=\S+ docker compose", OPERATIONS)
    assert {".env", "api-keys"} <= set((ROOT / ".gitignore").read_text().splitlines())


def test_nginx_passes_the_host_on_with_its_port() -> None:
    assert re.findall(r"proxy_set_header Host (\S+);", OPERATIONS) == ["$http_host"]


def test_the_log_of_a_container_does_not_grow_without_end() -> None:
    logging = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["latent-lab"]["logging"]
    said = [f"--log-driver {logging['driver']}", *(f"--log-opt {k}={v}" for k, v in logging["options"].items())]
    assert {"max-size", "max-file"} <= set(logging["options"]) and all(words in DEPLOYMENT for words in said)
