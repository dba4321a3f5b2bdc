"""What sharing calls is worth: the server beside itself with one picture a call, and what the calls alone promise.

`python benchmarks/batching.py` times the network at 2 to 32 rows and the decoder at 1 to 16 pictures, predicts from
these how many more pictures the best size gives than one picture a call does, then measures that with two servers in
turn, one of them with `--strict`. The servers do more than these calls, so the measured gain is a share of it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from benchmarks.load import WEIGHTS, measure  # noqa: E402
from benchmarks.report import precision  # noqa: E402
from benchmarks.speed import clocked  # noqa: E402
from ldm_core import load  # noqa: E402
from ldm_core.diffusion.denoiser import Conditioning, ModelInput  # noqa: E402
from ldm_core.pipeline import Pipeline  # noqa: E402
from tests.app.serving import serve  # noqa: E402

ROWS = (2, 4, 8, 16, 32)


def seconds(call: Callable[[], object], runs: int = 15) -> float:
    """Median seconds of a call, after three unmeasured ones."""
    for _ in range(3):
        call()
    return statistics.median(clocked(call) for _ in range(runs))


def predicted(pipe: Pipeline, steps: int) -> float:
    """Pictures a second at the best number of rows ÷ at two rows, from the network's and the decoder's calls alone."""
    told = Conditioning(pipe.encode_prompt("a red apple"), pipe.encode_prompt(""), 5.0)
    rates = []
    for rows in ROWS:
        z = torch.randn(rows // 2, *pipe.config.latent_shape())
        queries = [ModelInput(x, torch.tensor(501.0), 0) for x in z]
        step = seconds(lambda queries=queries: pipe.denoise(queries, [told] * len(queries)))  # type: ignore[misc]
        decode = seconds(lambda z=z: pipe.decode(z))  # type: ignore[misc]
        rates.append(rows / 2 / (steps * step + decode))
        print(
            f"{rows} rows: {1000 * step:.1f} ms a call, {1000 * step / rows:.2f} a row; decoding {rows // 2}: ", end=""
        )
        print(f"{1000 * decode:.0f} ms", flush=True)
    return max(rates) / rates[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=30, help="of one measurement")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--runtime", default="openvino")
    parser.add_argument("--dtype", default=precision())
    args = parser.parse_args()
    promise = predicted(load(WEIGHTS, "cpu", args.dtype, args.runtime), args.steps)
    options = ("--weights", str(WEIGHTS), "--device", "cpu", "--dtype", args.dtype, "--runtime", args.runtime)
    gains = []
    with (
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as other,
        serve(Path(one), *options) as shared,
        serve(Path(other), *options, "--strict") as strict,
    ):
        for server in (shared, strict):
            server.wait("/readyz")
            measure(server.url, 2, 5, args.steps)
        for _ in range(args.turns):
            loads = [measure(server.url, args.clients, args.seconds, args.steps) for server in (shared, strict)]
            gains.append(loads[0].rate / loads[1].rate)
            print(f"shared calls: {loads[0].line()}\n--strict:     {loads[1].line()}", flush=True)
    gain = statistics.median(gains)
    print(f"gain {gain:.2f}, promised by the calls {promise:.2f}: {gain / promise:.2f} of it")


if __name__ == "__main__":
    main()
