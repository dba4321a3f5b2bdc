"""Anonymous memory of a process that makes pictures, against the size of its weights file (Linux).

python benchmarks/memory.py                       # the embedded model
python benchmarks/memory.py --keep FOLDER         # SD v1's size; leaves weights and graphs for `speed.py sd-v1 --keep`
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.report import precision, write  # noqa: E402

REPORT = ROOT / "docs" / "performance.md"
WEIGHTS = ROOT / "weights" / "emoji-128.safetensors"
SAMPLE_SECONDS = 0.02
WORK = """
import sys, ldm_core
pipe = ldm_core.load(sys.argv[1], "cpu", sys.argv[3], sys.argv[2])
print("loaded", flush=True); sys.stdin.readline()
pipe.generate("a red apple", steps=1)
print("done", flush=True); sys.stdin.readline()
"""


def anonymous(pid: int) -> int:
    """Bytes of anonymous memory of a process and its children; 0 for one that is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    mine = next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon")), 0)
    return mine + sum(anonymous(int(child)) for child in children)


class Watched:
    """A process that loads weights and makes a one-step picture, and its memory meanwhile."""

    def __init__(self, weights: Path, runtime: str, cache: Path) -> None:
        env = {**os.environ, "LATENT_LAB_CACHE": str(cache)}
        command = [sys.executable, "-c", WORK, str(weights), runtime, precision()]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.peak = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while self.process.poll() is None:
            self.peak = max(anonymous(self.process.pid), self.peak)  # the peak is read last: it may begin anew
            time.sleep(SAMPLE_SECONDS)

    def until_said(self) -> tuple[int, int]:
        """Wait for the process's next word: the peak until then, and what it holds now. It goes on."""
        assert self.process.stdin and self.process.stdout
        if not self.process.stdout.readline():
            raise RuntimeError("the process ended")
        found = self.peak, anonymous(self.process.pid)
        self.peak = 0
        print("", file=self.process.stdin, flush=True)
        return found


def measure(weights: Path, cache: Path) -> dict[str, int]:
    """Bytes, by what was going on."""
    found = dict[str, int]()
    torch = Watched(weights, "torch", cache)
    found["torch, loading"], _ = torch.until_said()
    found["torch, a step and a decode"], _ = torch.until_said()
    making = Watched(weights, "openvino", cache)
    found["openvino, while its graphs are made"], _ = making.until_said()
    making.process.kill()
    ready = Watched(weights, "openvino", cache)
    found["openvino, loading from the cache"], found["openvino, ready"] = ready.until_said()
    found["openvino, a step and a decode"], _ = ready.until_said()
    for watched in (torch, making, ready):
        watched.process.wait()
    return found


def main() -> None:
    """Print the table, and with --write put it into docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, weights = args.keep or Path(name), WEIGHTS
        if args.keep:
            from benchmarks.peers import sd_weights

            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            weights = sd_weights(folder)
        found = measure(weights, folder / "graphs")
    size = weights.stat().st_size
    about = f"A file of {size / 1e6:,.0f} MB, computed in {precision()}."
    lines = [about, "", "| | anonymous memory, MB | × the file |", "|---|---|---|"]
    lines += [f"| {what} | {held / 1e6:,.0f} | {held / size:.2f} |" for what, held in found.items()]
    text = "\n".join(lines)
    print(text)
    if args.write:
        write(REPORT, "memory" if args.keep is None else "memory-sd-v1", text)


if __name__ == "__main__":
    main()
