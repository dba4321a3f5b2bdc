"""How far a picture made beside others is from the same one made alone: `python benchmarks/crowd.py`.

Eight seeds through the engine, one after the other and all together beside others of other steps and samplers, on a
runtime in a precision; mean and largest difference of a pixel's channel, in levels of 255.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from app.engine import Done, Engine, Job, Quotas, Requester  # noqa: E402
from app.engine.model import PipelineModel  # noqa: E402
from benchmarks.memory import WEIGHTS  # noqa: E402
from benchmarks.report import precision  # noqa: E402
from ldm_core import load  # noqa: E402
from ldm_core.pipeline import Pipeline  # noqa: E402
from ldm_core.sampling import SamplingParams  # noqa: E402
from tests.app.engine.fake import Alone, FakeKeeper  # noqa: E402

OTHERS = ("euler", "heun", "plms", "unipc")


def made(pipe: Pipeline, wanted: list[SamplingParams], beside: list[SamplingParams] | None, strict: bool) -> list[Any]:
    """Pictures uint8 [H,W,3] of `wanted`: each in an empty engine, or (with a list `beside`) all of both in one."""
    engine = Engine(FakeKeeper(lambda job, pictures, *_: pictures[0]), Quotas(1000, 1000), strict)
    asked = enumerate([*wanted, *(beside or [])])
    jobs = [Job(request, requester=Requester(str(k), previews=False)) for k, request in asked]
    if beside is not None:
        for job in jobs:
            engine.submit(job)
    engine.start(Alone(PipelineModel(pipe)))
    ends = [(job if beside is not None else engine.submit(job)).wait() for job in jobs]
    engine.close()
    assert all(isinstance(end, Done) for end in ends), ends
    return [end.result for end in ends[: len(wanted)] if isinstance(end, Done)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default=precision())
    parser.add_argument("--runtime", default="torch")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--others", type=int, default=8)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--strict", action="store_true")
    args = parser.parse_args()
    pipe = load(WEIGHTS, args.device, args.dtype, args.runtime)
    prompts = ("a red apple", "a blue cat", "two green cars", "a house")
    wanted = [SamplingParams(prompts[k % 4], steps=args.steps, seed=k, guidance_scale=5.0) for k in range(args.seeds)]
    beside = [
        SamplingParams(prompts[k % 3], steps=args.steps + k, seed=99 + k, guidance_scale=3.0, sampler=OTHERS[k % 4])
        for k in range(args.others)
    ]
    alone, crowded = (np.stack(made(pipe, wanted, some, args.strict)).astype(int) for some in (None, beside))
    gap = np.abs(alone - crowded)
    means, most = gap.mean(axis=(1, 2, 3)), gap.max(axis=(1, 2, 3))
    print(
        f"{args.runtime} {args.dtype} on {args.device}, {args.seeds} seeds of {args.steps} steps beside {args.others}:"
    )
    print(f"  mean {means.mean():.3f} of 255 (a picture's at most {means.max():.3f}), largest {most.max()}")
    print(f"  bit-equal pictures: {int((most == 0).sum())} of {args.seeds}; each's largest: {most.tolist()}")


if __name__ == "__main__":
    main()
