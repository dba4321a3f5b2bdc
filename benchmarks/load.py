"""Many clients at once: this service, and a plain diffusers pipeline behind FastAPI with a lock, on the same weights.

`python benchmarks/load.py --clients 1 8 --seconds 30` starts both on loopback and measures them in turn.
Every client asks for the next picture as soon as it has the last. "gain" is pictures a second against the peer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.report import precision  # noqa: E402
from tests.app.serving import Served, free_port, serve  # noqa: E402

WEIGHTS = ROOT / "weights" / "emoji-128.safetensors"
PROMPTS = ("a red apple", "a blue house", "a dog", "two green cups", "a yellow star", "a cat", "a tree", "a boat")


@dataclass
class Load:
    """What clients saw: seconds of each picture, by client, and how many calls failed."""

    seconds: list[list[float]]
    wall: float
    lost: int = 0
    sorted_seconds: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.sorted_seconds = sorted(s for mine in self.seconds for s in mine)

    def line(self) -> str:
        counts = [len(mine) for mine in self.seconds]
        p50 = statistics.median(self.sorted_seconds)
        p95 = self.sorted_seconds[int(0.95 * (len(self.sorted_seconds) - 1))]
        fairness = max(counts) / max(1, min(counts))
        rate = sum(counts) / self.wall
        return (
            f"{rate:.2f} images/s | p50 {p50:.2f} s | p95 {p95:.2f} s | most ÷ fewest {fairness:.2f} | lost {self.lost}"
        )

    @property
    def rate(self) -> float:
        return len(self.sorted_seconds) / self.wall


def measure(url: str, clients: int, seconds: float, steps: int) -> Load:
    """Ask for `seconds`; pictures under way at the end are waited for and counted, with the time they took."""
    taken: list[list[float]] = [[] for _ in range(clients)]
    lost = [0]
    start = time.monotonic()

    def ask(k: int) -> None:
        n = 0
        while time.monotonic() - start < seconds:
            body = {"prompt": PROMPTS[(k + n) % len(PROMPTS)], "num_inference_steps": steps, "seed": 1000 * k + n}
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer client-{k}"}
            request = urllib.request.Request(f"{url}/v1/images/generations", json.dumps(body).encode(), headers)
            begun = time.monotonic()
            try:
                urllib.request.urlopen(request, timeout=600).read()
                taken[k].append(time.monotonic() - begun)
            except OSError:
                lost[0] += 1
            n += 1

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Load(taken, time.monotonic() - start, lost[0])


def peer(folder: str, port: int, dtype: str) -> None:
    """The plain server: one diffusers pipeline, one lock, a thread a request."""
    import base64
    import io

    import torch
    import uvicorn
    from diffusers import DDIMScheduler, StableDiffusionPipeline
    from fastapi import FastAPI

    pipe = StableDiffusionPipeline.from_pretrained(folder, dtype=getattr(torch, dtype), safety_checker=None)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    app, lock = FastAPI(), asyncio.Lock()

    def make(body: dict) -> str:
        generator = torch.Generator().manual_seed(body["seed"])
        steps = body["num_inference_steps"]
        image = pipe(body["prompt"], num_inference_steps=steps, guidance_scale=5.0, generator=generator).images[0]
        buffer = io.BytesIO()
        image.save(buffer, format="PNG")
        return base64.b64encode(buffer.getvalue()).decode()

    @app.get("/readyz")
    def readyz() -> dict:
        return {}

    @app.post("/v1/images/generations")
    async def generations(body: dict) -> dict:
        async with lock:
            return {"data": [{"b64_json": await asyncio.to_thread(make, body)}]}

    uvicorn.run(app, port=port, log_level="warning")


def serve_peer(folder: Path, dtype: str) -> Served:
    port, log = free_port(), folder / "peer.log"
    command = [sys.executable, __file__, "--peer", str(folder / "diffusers"), "--port", str(port), "--dtype", dtype]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    return Served(process, f"http://127.0.0.1:{port}", log)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--dtype", default=precision(), help="of both")
    parser.add_argument("--strict", action="store_true", help="ours answers each picture's rows in calls of its own")
    parser.add_argument("--warm", type=float, default=5, help="seconds before the first measurement of each server")
    parser.add_argument("--peer")
    parser.add_argument("--port", type=int)
    args = parser.parse_args()
    if args.peer:
        peer(args.peer, args.port, args.dtype)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, "-m", "ldm_core", "convert", str(WEIGHTS), str(folder / "diffusers")]
        subprocess.run([*command, "--format", "diffusers"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        if args.runtime != "torch":  # made before, so that both are measured beside nothing
            subprocess.run([sys.executable, "-m", "ldm_core.runtime.convert", str(WEIGHTS)], cwd=ROOT, check=True)
        theirs = serve_peer(folder, args.dtype)
        try:
            options = ("--weights", str(WEIGHTS), "--device", "cpu", "--dtype", args.dtype, "--runtime", args.runtime)
            with serve(folder, *options, *(["--strict"] if args.strict else [])) as ours:
                ours.wait("/readyz")
                theirs.wait("/readyz")
                for server in (ours, theirs):
                    measure(server.url, 2, args.warm, args.steps)
                for clients in args.clients:
                    loads = [measure(server.url, clients, args.seconds, args.steps) for server in (ours, theirs)]
                    print(f"{clients} clients, this service: {loads[0].line()}", flush=True)
                    print(f"{clients} clients, the peer:     {loads[1].line()}", flush=True)
                    print(f"{clients} clients, gain:         {loads[0].rate / loads[1].rate:.2f} ×", flush=True)
        finally:
            theirs.process.terminate()
            theirs.process.wait()


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
