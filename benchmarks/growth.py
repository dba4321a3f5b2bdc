"""How time and memory grow with resolution, pictures at once and steps: `python benchmarks/growth.py [--write]`.

The embedded model on its default runtime; each curve in a process of its own, from small to large, fitted as
a + b·n^p. With --write the figure goes to docs/growth.png and the fits into docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.memory import anonymous  # noqa: E402
from benchmarks.report import write  # noqa: E402

REPORT, FIGURE = ROOT / "docs" / "performance.md", ROOT / "docs" / "growth.png"
WEIGHTS = ROOT / "weights" / "emoji-128.safetensors"
RUNS, MOST_SECONDS = 3, 25.0  # of one curve
CURVES = {  # what grows, in what, its values; everything else is the default, with 5 steps
    "side": ("side, pixels", (64, 128, 192, 256, 384, 512, 768, 1024)),
    "batch": ("pictures at once", (1, 2, 4, 8, 16, 32, 64)),
    "steps": ("steps", (1, 5, 10, 25, 50, 100)),
}


@dataclass(frozen=True)
class Point:
    """Median seconds of a request and the most anonymous memory until then, above that of the loaded model."""

    n: int
    seconds: float
    bytes: int


def walk(curve: str) -> list[Point]:
    """The curve's points, in this process."""
    import os

    import ldm_core

    pipe = ldm_core.load(WEIGHTS, "cpu", "auto", "openvino")
    pipe.generate("a red apple", steps=1)
    base = peak = anonymous(os.getpid())

    def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, anonymous(os.getpid()))
            time.sleep(0.02)

    threading.Thread(target=watch, daemon=True).start()
    points, begun = list[Point](), time.perf_counter()
    for n in CURVES[curve][1]:
        settings = {"height": n, "width": n} if curve == "side" else {curve: n}
        taken = list[float]()
        while len(taken) < RUNS and (not taken or time.perf_counter() - begun < MOST_SECONDS):
            start = time.perf_counter()
            pipe.generate("a red apple", **{"steps": 5, **settings})
            taken.append(time.perf_counter() - start)
        points.append(Point(n, statistics.median(taken), peak - base))
        if time.perf_counter() - begun > MOST_SECONDS:
            break
    return points


def fit(points: list[Point]) -> tuple[float, float, float]:
    """a, b, p of seconds ≈ a + b·n^p: p on a grid, a and b by least squares on relative errors."""
    n, s = np.array([q.n for q in points], float), np.array([q.seconds for q in points])
    found = []
    for p in np.arange(0.5, 4.01, 0.05):
        design = np.stack([np.ones_like(n), n**p], axis=1) / s[:, None]
        (a, b), *_ = np.linalg.lstsq(design, np.ones_like(s), rcond=None)
        found.append((float(((design @ [a, b] - 1) ** 2).sum()), float(a), float(b), float(p)))
    _, a, b, p = min(found)
    return a, b, p


def draw(curves: dict[str, list[Point]]) -> None:
    """Seconds above, memory below, a column a curve, both axes logarithmic."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, len(curves), figsize=(10, 5), sharex="col", layout="constrained")
    for (curve, points), (above, below) in zip(curves.items(), axes.T, strict=True):
        n = [q.n for q in points]
        a, b, p = fit(points)
        fine = np.geomspace(n[0], n[-1], 50)
        above.loglog(fine, a + b * fine**p, color="tab:orange", label=f"{a:.3f} + {b:.2g}·n^{p:.2f}")
        above.loglog(n, [q.seconds for q in points], "o", color="tab:blue")
        above.legend(fontsize=8)
        below.semilogx(n, [q.bytes / 1e6 for q in points], "o-", color="tab:blue")
        below.set_xlabel(CURVES[curve][0])
        below.set_xticks(n, [str(k) for k in n])
        below.minorticks_off()
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("memory above the model's, MB")
    figure.savefig(FIGURE, dpi=90)


def table(curves: dict[str, list[Point]]) -> str:
    """The fits and the ends of each curve, as Markdown."""
    lines = ["| n | from … to | seconds | memory, MB | seconds ≈ |", "|---|---|---|---|---|"]
    for curve, points in curves.items():
        a, b, p = fit(points)
        first, last = points[0], points[-1]
        lines.append(
            f"| {CURVES[curve][0]} | {first.n} … {last.n} | {first.seconds:.3f} … {last.seconds:.3f} "
            f"| {first.bytes / 1e6:.0f} … {last.bytes / 1e6:.0f} | {a:.3f} + {b:.2g}·n^{p:.2f} |"
        )
    lines += ["", f"![seconds and memory against {', '.join(name for name, _ in CURVES.values())}]({FIGURE.name})"]
    return "\n".join(lines)


def main() -> None:
    """Print the fits; with --write draw the figure and put the fits into docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curve", choices=CURVES, help="print this curve's points as JSON")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    if args.curve:
        print(json.dumps([[q.n, q.seconds, q.bytes] for q in walk(args.curve)]))
        return
    curves = {}
    for curve in CURVES:
        said = subprocess.run([sys.executable, __file__, "--curve", curve], check=True, capture_output=True, text=True)
        curves[curve] = [Point(*numbers) for numbers in json.loads(said.stdout.splitlines()[-1])]
    print(table(curves))
    if args.write:
        write(REPORT, "growth", table(curves))
        draw(curves)


if __name__ == "__main__":
    main()
