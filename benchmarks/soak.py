"""Whether a busy server stays the size it is: `python benchmarks/soak.py` lets 16 clients ask for ten minutes.

Anonymous memory, threads and open files of the server's process (Linux), looked at every `--every` seconds. What a
client asks for is drawn at random: pictures of several counts and steps, a job whose events it leaves, rubbish. Memory
has to grow by at most 5 % after the first minute, threads and files not at all. The first network call of a number of
rows takes memory that stays, once: where such a call comes later, so does the end of the first minute.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import httpx  # noqa: E402

from benchmarks.memory import WEIGHTS, anonymous  # noqa: E402
from tests.app.serving import serve  # noqa: E402
from tests.tiny import tiny_checkpoint  # noqa: E402

ENDS = 5  # looks whose median is what there was at an end
CROWDED = 45.0  # seconds at the start in which clients do not pause: the largest calls there will be are soon met


@dataclass(frozen=True)
class Look:
    """The server's process at a moment: bytes, threads, open files, rows of its largest call, pictures it has made."""

    seconds: float
    memory: int
    threads: int
    files: int
    rows: int
    pictures: int

    def line(self) -> str:
        held = f"{self.memory / 1e6:6.0f} MB  {self.threads:3d} threads  {self.files:3d} files  {self.rows:2d} rows"
        return f"{self.seconds:5.0f} s  {held}  {self.pictures} pictures"


class Asking:
    """Clients that ask until they are told to stop."""

    def __init__(self, url: str, clients: int, pause: float) -> None:
        self.url, self.pause, self.pictures = url, pause, 0
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=(k,)) for k in range(clients)]

    def _ask(self, number: int) -> None:
        drawn = random.Random(number)
        http = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer soak-{number}"}, timeout=300)
        while not self.over.wait(self.pause):
            with contextlib.suppress(httpx.HTTPError):
                drawn.choice([self._pictures, self._pictures, self._pictures, self._leave, self._rubbish])(http, drawn)

    def _pictures(self, http: httpx.Client, drawn: random.Random) -> None:
        body = {"prompt": f"a red apple {drawn.random()}", "n": drawn.randint(1, 3)}
        answer = http.post("/v1/images/generations", json={**body, "num_inference_steps": drawn.randint(2, 12)})
        self.pictures += len(answer.json().get("data", []))

    def _leave(self, http: httpx.Client, drawn: random.Random) -> None:
        made = http.post("/v1/jobs", json={"prompt": "a blue boat", "steps": drawn.randint(2, 12)})
        if made.status_code != 202:  # the queue is full
            return
        with http.stream("GET", f"/v1/jobs/{made.json()['id']}/events") as answer:
            next(answer.iter_lines(), None)

    def _rubbish(self, http: httpx.Client, drawn: random.Random) -> None:
        http.post("/v1/jobs", content=drawn.randbytes(200))


def soak(folder: Path, weights: Path, clients: int, seconds: float, every: float, pause: float) -> Iterator[Look]:
    """The server's process from its readiness on. Graphs are made before: a change of runtime is not growth."""
    subprocess.run([sys.executable, "-m", "ldm_core.runtime.convert", str(weights)], cwd=ROOT, check=False)
    options = ("--weights", str(weights), "--device", "cpu", "--data-dir", str(folder / "data"))
    with serve(folder, *options) as served:
        served.wait("/readyz")
        asking, pid = Asking(served.url, clients, 0.0), served.process.pid
        start = time.monotonic()
        for thread in asking.threads:
            thread.start()
        try:
            while (now := time.monotonic() - start) < seconds:
                asking.pause = 0.0 if now < CROWDED else pause
                time.sleep(min(every, max(0.1, seconds - now)))
                proc = Path(f"/proc/{pid}")
                threads, files = len(list((proc / "task").iterdir())), len(list((proc / "fd").iterdir()))
                rows = largest_call(served.url)
                yield Look(time.monotonic() - start, anonymous(pid), threads, files, rows, asking.pictures)
        finally:
            asking.over.set()
            for thread in asking.threads:
                thread.join()


def largest_call(url: str) -> int:
    """The most rows that a network call has had so far, up to the next power of two; 0 before there was any."""
    told = httpx.get(f"{url}/metrics", timeout=60).text
    calls = re.findall(r'latent_lab_rows_per_call_bucket\{le="([0-9.]+)"\} ([0-9.]+)', told)
    most = max(float(count) for _, count in calls)
    return next(int(float(rows)) for rows, count in calls if float(count) == most) if most else 0


def grown(looks: list[Look], settled: float = 60) -> tuple[float, int, int]:
    """(share by which memory grew, threads more, files more) from the end of the first minute to the end, or from when
    calls were as large as they got.

    Medians of a few looks at both ends: pictures under way come and go. ValueError where there are too few.
    """
    after = [look for look in looks if look.seconds >= settled and look.rows == looks[-1].rows]
    if len(after) < 2 * ENDS:
        raise ValueError(f"calls grew until {len(after)} looks before the end: ask for longer")

    def middle(some: list[Look], of: str) -> int:
        return sorted(int(getattr(look, of)) for look in some)[len(some) // 2]

    ends = {of: (middle(after[:ENDS], of), middle(after[-ENDS:], of)) for of in ("memory", "threads", "files")}
    (before, now) = ends["memory"]
    return now / before - 1, ends["threads"][1] - ends["threads"][0], ends["files"][1] - ends["files"][0]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--every", type=float, default=10)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds a client waits between two requests")
    parser.add_argument("--tiny", action="store_true", help="small random weights: the service alone")
    args = parser.parse_args()
    looks: list[Look] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = tiny_checkpoint(folder) if args.tiny else WEIGHTS
        for look in soak(folder, weights, args.clients, args.seconds, args.every, args.pause):
            looks.append(look)
            print(look.line(), flush=True)
    memory, threads, files = grown(looks)
    print(f"after the first minute: memory {memory:+.1%}, threads {threads:+d}, files {files:+d}")


if __name__ == "__main__":
    main()
