"""Do two checkouts of this repository make the same pictures? Both run in this environment with one thread count.

`python scripts/compare_checkouts.py BEFORE [AFTER] [--prompts N] [--samplers ddim,heun] [--dtypes float32,bfloat16]`:
each checkout makes every picture of prompts × samplers × dtypes × kinds (text to image, image to image, inpainting) in
a process of its own, from BEFORE's weights; the arrays must be equal, byte for byte. Prints a line a combination; exits
with 1 where any differs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

PROMPTS = (
    "a red apple, noto style",
    "grinning face",
    "rocket, twemoji style, on a blue background",
    "panda face",
    "a (red:1.3) [apple]",
    "woman astronaut, dark skin tone",
    "birthday cake",
    "hamburger, flat style",
    "blue heart on a yellow background",
    "thumbs up, light skin tone",
    "pizza",
    "a blue car, emojione style",
)
KINDS = ("text", "image", "paint")
WORKER = """
import inspect, json, sys
import numpy as np, torch
import ldm_core
job = json.loads(sys.argv[1])
torch.set_num_threads(job["threads"])
options = {"runtime": "torch"} if "runtime" in inspect.signature(ldm_core.load).parameters else {}
y, x = np.mgrid[:128, :128]
picture = np.stack([2 * x, 2 * y, 255 - x - y // 2], axis=-1).clip(0, 255).astype(np.uint8)
mask = np.zeros((128, 128), np.uint8)
mask[32:96, 40:] = 255
inputs = {"text": {}, "image": {"init_image": picture, "strength": 0.6},
          "paint": {"init_image": picture, "mask": mask, "strength": 0.9}}
made = {}
for dtype in job["dtypes"]:
    pipe = ldm_core.load(job["weights"], "cpu", dtype, **options)
    for sampler in job["samplers"]:
        for k, prompt in enumerate(job["prompts"]):
            for kind in job["kinds"]:
                settings = {"steps": job["steps"], "eta": 0.5, "guidance_scale": 5.0, "sampler": sampler, "seed": 7 + k}
                if kind == "paint":  # what a mask keeps is pasted afterwards: compare what was sampled, too
                    steps = pipe.stream(prompt, negative_prompt="blurry", **settings, **inputs[kind])
                    *_, last = steps
                    made[f"{dtype} {sampler} {kind} {k} x0"] = last.x0.numpy()
                pixels = pipe.generate(prompt, negative_prompt="blurry", **settings, **inputs[kind])
                made[f"{dtype} {sampler} {kind} {k}"] = pixels
np.savez(job["out"], **made)
"""


def run(checkout: Path, job: dict[str, object]) -> dict[str, np.ndarray]:
    import json

    threads = str(job["threads"])
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    command = [sys.executable, "-c", WORKER, json.dumps(job)]
    subprocess.run(command, cwd=checkout, env=environment, check=True)
    with np.load(str(job["out"])) as made:
        return dict(made)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path, nargs="?", default=Path(__file__).resolve().parents[1])
    parser.add_argument("--prompts", type=int, default=len(PROMPTS))
    parser.add_argument("--samplers", default="ddim,dpmpp_2m,euler_a")
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    before, after = args.before.resolve(), args.after.resolve()
    job: dict[str, object] = {
        "weights": str(before / "weights" / "emoji-128.safetensors"),
        "prompts": PROMPTS[: args.prompts],
        "samplers": args.samplers.split(","),
        "dtypes": args.dtypes.split(","),
        "kinds": args.kinds.split(","),
        "steps": args.steps,
        "threads": args.threads,
    }
    with tempfile.TemporaryDirectory() as folder:
        old, new = (
            run(checkout, {**job, "out": f"{folder}/{name}.npz"}) for name, checkout in (("a", before), ("b", after))
        )
    different = 0
    for name in sorted(old):
        apart = np.abs(old[name].astype(np.float64) - new[name].astype(np.float64)).max()
        different += not np.array_equal(old[name], new[name])
        print(f"{name}: {'equal' if np.array_equal(old[name], new[name]) else f'differs by up to {apart:g}'}")
    print(f"{len(old) - different} of {len(old)} arrays are equal")
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
