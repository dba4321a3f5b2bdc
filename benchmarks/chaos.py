"""Jobs in a storm: `python benchmarks/chaos.py` has 200 accepted while clients vanish, cancel, send rubbish, and the
server is killed -9 twice. Every accepted job has to be accounted for in the end, and no picture twice in the history.

On loopback with small random weights. Each client posts with an Idempotency-Key until it is answered, so a key names
one job whatever broke in between.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import httpx  # noqa: E402

from tests.app.serving import Served, free_port, serve  # noqa: E402
from tests.tiny import tiny_checkpoint  # noqa: E402

ENDS = ("done", "failed", "cancelled", "interrupted")
RUBBISH: tuple[dict[str, Any], ...] = (
    {"content": b"{"},
    {"content": b"\xff\xfe\x00" * 50},
    {"json": {"prompt": 5}},
    {"json": {"prompt": "a", "steps": 10**9}},
    {"json": {"prompt": "a", "width": -3, "sampler": "none"}},
    {"json": [[[]]]},
    {"json": {"prompt": "a", "init_image": "no picture"}},
)
PATIENCE = 180  # seconds until the last job has to have ended


@dataclass
class Account:
    """What the clients know: their jobs by id, and every answer to rubbish."""

    jobs: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)  # id → client, request
    rubbish: Counter[int] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Client(threading.Thread):
    """One client: posts its share of the jobs, and misbehaves between them."""

    def __init__(self, number: int, jobs: int, url: str, account: Account) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self.jobs, self.account, self.random = jobs, account, random.Random(number)
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {self.name}"}, timeout=20)

    def run(self) -> None:
        for n in range(self.jobs):
            wanted = {
                "prompt": f"{self.name} {n}",
                "seed": 10 * n,
                "steps": self.random.randint(1, 12),
                "batch": self.random.randint(1, 2),
            }
            job_id = self.post(wanted, f"key-{n}")
            with self.account.lock:
                self.account.jobs[job_id] = self.name, wanted
            self.random.choice([self.vanish, self.cancel, self.rubbish, self.hang_up, lambda job_id: None])(job_id)

    def post(self, wanted: dict[str, Any], key: str) -> str:
        """Until it is accepted: the server may be away, or the client's line full."""
        while True:
            with contextlib.suppress(httpx.HTTPError):
                answer = self.http.post("/v1/jobs", json=wanted, headers={"Idempotency-Key": key})
                if answer.status_code == 202:
                    return str(answer.json()["id"])
                assert answer.status_code in (429, 503), answer.text
            time.sleep(0.2)

    def vanish(self, job_id: str) -> None:
        """Follow the job's events and go away after the first."""
        with (
            contextlib.suppress(httpx.HTTPError),
            self.http.stream("GET", f"/v1/jobs/{job_id}/events") as answer,
        ):
            next(answer.iter_lines(), None)

    def cancel(self, job_id: str) -> None:
        """Some time later."""
        time.sleep(self.random.uniform(0, 0.5))
        with contextlib.suppress(httpx.HTTPError):
            self.http.delete(f"/v1/jobs/{job_id}")

    def rubbish(self, job_id: str) -> None:
        """What is no request."""
        with contextlib.suppress(httpx.HTTPError):
            answer = self.http.post("/v1/jobs", **self.random.choice(RUBBISH))
            with self.account.lock:
                self.account.rubbish[answer.status_code] += 1

    def hang_up(self, job_id: str) -> None:
        """Ask for a picture in one piece and leave before it is there."""
        with contextlib.suppress(httpx.HTTPError):
            body = {"prompt": "nobody waits", "num_inference_steps": 12}
            self.http.post("/v1/images/generations", json=body, timeout=0.1)


@contextlib.contextmanager
def server(folder: Path, weights: Path, port: int) -> Iterator[Served]:
    options = ("--weights", str(weights), "--device", "cpu", "--data-dir", str(folder / "data"))
    with serve(folder, *options, env={"OMP_NUM_THREADS": "1"}, port=port) as served:
        served.wait("/readyz")
        yield served


def storm(folder: Path, jobs: int, clients: int, kills: int) -> Iterator[str]:
    """Lines that say what happened; AssertionError where a job is lost or a picture there twice."""
    weights, port, account = tiny_checkpoint(folder), free_port(), Account()
    threads = [Client(k, jobs // clients, f"http://127.0.0.1:{port}", account) for k in range(clients)]
    for kill in range(kills + 1):
        with server(folder, weights, port) as served:
            if kill == 0:
                for thread in threads:
                    thread.start()
            if kill < kills:
                while len(account.jobs) < jobs * (kill + 1) // (kills + 1):
                    assert served.process.poll() is None, "the server has ended by itself"
                    assert any(thread.is_alive() for thread in threads), "the clients have ended too early"
                    time.sleep(0.02)
                served.process.send_signal(signal.SIGKILL)
                served.process.wait()
                yield f"killed after {len(account.jobs)} accepted jobs"
                continue
            for thread in threads:
                thread.join()
            yield from settle(account, threads)
    yield f"answers to rubbish: {dict(sorted(account.rubbish.items()))}"
    assert all(400 <= status < 500 for status in account.rubbish), account.rubbish


def settle(account: Account, clients: list[Client]) -> Iterator[str]:
    """Wait for all jobs' ends, then hold jobs and history against each other."""
    states: dict[str, dict[str, Any]] = {}
    by_name = {client.name: client.http for client in clients}
    end = time.monotonic() + PATIENCE
    for job_id, (name, _) in account.jobs.items():
        while (state := by_name[name].get(f"/v1/jobs/{job_id}").json()).get("status") not in ENDS:
            assert "status" in state, f"{job_id} is lost: {state}"
            assert time.monotonic() < end, f"{job_id} has not ended: {state}"
            time.sleep(0.05)
        states[job_id] = state
    yield f"{len(states)} jobs: {dict(Counter(state['status'] for state in states.values()))}"
    listed = Counter(entry["name"] for client in clients for entry in history(client.http))
    assert max(listed.values(), default=1) == 1, "a picture is in the history twice"
    made = Counter(
        str(image["url"]).partition("?")[0].rpartition("/")[2] for s in states.values() for image in s["images"]
    )
    for job_id, state in states.items():
        wanted = account.jobs[job_id][1]
        seeds = [wanted["seed"] + k for k in range(wanted["batch"])]
        assert [image["seed"] for image in state["images"]] == (seeds if state["status"] == "done" else []), state
    assert max(made.values(), default=1) == 1 and set(made) <= set(listed), "a finished picture is not in the history"
    yield f"{len(made)} pictures of finished jobs, each once in the history"


def history(http: httpx.Client) -> Iterator[dict[str, Any]]:
    """A client's whole history."""
    before: dict[str, Any] = {}
    while page := http.get("/v1/history", params=before).json():
        yield from page
        before = {"before": page[-1]["created"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--kills", type=int, default=2)
    args = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for line in storm(Path(folder), args.jobs, args.clients, args.kills):
            print(f"{time.monotonic() - start:5.0f} s  {line}", flush=True)


if __name__ == "__main__":
    main()
