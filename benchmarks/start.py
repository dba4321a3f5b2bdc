"""From the command to the first picture over HTTP: this project's page, and a minimal diffusers and Gradio script.

python benchmarks/start.py [--runs 3] [--write]       # turn by turn, same embedded weights, 25 steps, graphs cached
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.report import precision, write  # noqa: E402
from tests.app.serving import free_port  # noqa: E402

REPORT = ROOT / "docs" / "performance.md"
WEIGHTS = ROOT / "weights" / "emoji-128.safetensors"
PEER = """
import sys, torch, gradio as gr
from diffusers import DDIMScheduler, StableDiffusionPipeline
pipe = StableDiffusionPipeline.from_pretrained(sys.argv[1], dtype=getattr(torch, sys.argv[3]), safety_checker=None)
pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
make = lambda prompt: pipe(prompt, num_inference_steps=25, guidance_scale=5.0).images[0]
gr.Interface(make, "text", "image", api_name="make").launch(server_port=int(sys.argv[2]), quiet=True)
"""


def post(url: str, body: object) -> bytes:
    """The answer's bytes."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return urllib.request.urlopen(request, timeout=120).read()


def ours(base: str) -> bytes:
    """A picture of the page's service; OSError until there is one."""
    return post(f"{base}/v1/images/generations", {"prompt": "a red apple", "num_inference_steps": 25})


def theirs(base: str) -> bytes:
    """A picture of the peer's page."""
    event = json.loads(post(f"{base}/gradio_api/call/make", {"data": ["a red apple"]}))["event_id"]
    told = urllib.request.urlopen(f"{base}/gradio_api/call/make/{event}", timeout=120).read()
    if b"event: complete" not in told:
        raise RuntimeError(told.decode())
    return told


def seconds(command: list[str], port: int, picture: Callable[[str], bytes]) -> float:
    """From the command to the first picture; the client asks again as long as nobody answers."""
    with tempfile.TemporaryFile("w+") as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            while process.poll() is None:
                try:
                    assert picture(f"http://127.0.0.1:{port}")
                    return time.perf_counter() - start
                except OSError:
                    time.sleep(0.05)
            log.seek(0)
            raise RuntimeError(f"{command[1]} ended with {process.returncode}:\n{log.read()[-2000:]}")
        finally:
            process.terminate()
            process.wait()


def main() -> None:
    """Print the medians, and with --write put them into docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    os.environ.update(HF_HUB_OFFLINE="1", GRADIO_ANALYTICS_ENABLED="False")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        convert = [sys.executable, "-m", "ldm_core", "convert", str(WEIGHTS), str(folder / "diffusers")]
        subprocess.run([*convert, "--format", "diffusers"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        subprocess.run([sys.executable, "-m", "ldm_core.runtime.convert", str(WEIGHTS)], cwd=ROOT, check=True)
        (folder / "peer.py").write_text(PEER)
        rounds = []
        for _ in range(args.runs + 1):  # the first one fills the disk's cache
            here, there = free_port(), free_port()
            page = [sys.executable, "demo/sd_demo/app.py", "--port", str(here), "--data-dir", str(folder / "data")]
            page += ["--device", "cpu", "--dtype", precision()]  # as the peer
            script = [sys.executable, str(folder / "peer.py"), str(folder / "diffusers"), str(there), precision()]
            rounds.append((seconds(page, here, ours), seconds(script, there, theirs)))
    a, b = (statistics.median(column) for column in zip(*rounds[1:], strict=True))
    ratio = statistics.median(x / y for x, y in rounds[1:])
    text = f"| | this page, s | diffusers and Gradio, s | ratio |\n|---|---|---|---|\n| command to first picture | {a:.2f} | {b:.2f} | {ratio:.2f} |"  # noqa: E501
    print(text)
    if args.write:
        write(REPORT, "start", text)


if __name__ == "__main__":
    main()
