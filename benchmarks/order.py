"""Each sampler's order of convergence on Gaussian data, where the exact answer is known: `python benchmarks/order.py`.
With --write the table goes into docs/samplers.md; `make benchmark` does that too.

Data N(mean, spread²) make x0's expectation linear in x, so that the probability flow keeps (x/√ᾱ − mean)/√(spread²+σ²)
constant, and a stochastic sampler's mean and variance can be computed without sampling. Timesteps are fractional: grids
of whole numbers are never fine enough to show an order above 1. Everything is in float64.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.report import write
from ldm_core.diffusion.denoiser import ModelInput
from ldm_core.diffusion.gaussian import Prediction
from ldm_core.diffusion.sample_loop import drive
from ldm_core.diffusion.samplers import SAMPLERS, SamplerCoroutine
from ldm_core.diffusion.schedule import NoiseSchedule, TimestepGrid
from ldm_core.presets import SD_V1

REPORT = Path(__file__).resolve().parent.parent / "docs" / "samplers.md"
SCHEDULE = NoiseSchedule.from_config(SD_V1.schedule)
FIRST, LAST = 14.0, 0.1  # σ, inside SD's range of 0.029 to 14.6
MEAN, SPREAD = 0.7, 0.4
END: dict[str, dict[str, object]] = {"ddim": {}, "plms": {}, "ddpm": {"end_at_x0": False}}  # the rest: last_sigma
STOCHASTIC = {"ddpm", "euler_a", "dpmpp_2m_sde"}


def fractional_grid(n: int, eta: float = 0.0, spacing: str = "log") -> TimestepGrid:
    """n steps from FIRST to LAST, evenly in log σ or in σ."""
    sigma = np.geomspace(FIRST, LAST, n + 1) if spacing == "log" else np.linspace(FIRST, LAST, n + 1)
    alpha_bar = torch.from_numpy(1 / (1 + sigma**2))
    a, prev = alpha_bar[:-1], alpha_bar[1:]
    noise = eta * ((1 - prev) / (1 - a) * (1 - a / prev)).sqrt()
    return TimestepGrid(torch.from_numpy(SCHEDULE.t_at_sigma(sigma[:-1])), a, prev, noise)


def gaussian(model_input: ModelInput, mean: float = MEAN, spread: float = SPREAD) -> Prediction:
    """The exact answer: E[x0|x] for data N(mean, spread²), ᾱ found from the input's fractional t."""
    a = SCHEDULE.alpha_bar_at(model_input.t)
    gain = spread**2 * a.sqrt() / (spread**2 * a + 1 - a)
    x0 = mean + gain * (model_input.x - a.sqrt() * mean)
    return Prediction((model_input.x - a.sqrt() * x0) / (1 - a).sqrt(), x0)


def start(name: str, x: Tensor, grid: TimestepGrid, noise: Callable[[], Tensor]) -> SamplerCoroutine:
    options = END.get(name, {"last_sigma": LAST})
    return SAMPLERS[name](x, grid, noise=noise, **options)  # type: ignore[arg-type]


def flow_error(name: str, n: int, spacing: str = "log") -> float:
    """|x − exact| at σ = LAST from one start, without noise."""
    grid = fractional_grid(n, spacing=spacing)
    x = torch.tensor([1.3, -0.4, 2.2], dtype=torch.float64)
    got = drive(start(name, x, grid, lambda: torch.zeros_like(x)), gaussian)
    u = (x * math.sqrt(1 + FIRST**2) - MEAN) / math.sqrt(SPREAD**2 + FIRST**2)
    exact = (MEAN + math.sqrt(SPREAD**2 + LAST**2) * u) / math.sqrt(1 + LAST**2)
    return float((got - exact).abs().max())


def moments(name: str, n: int, eta: float = 0.0, mean: float = MEAN, spread: float = SPREAD) -> tuple[float, float]:
    """The sampler's exact mean and variance at σ = LAST, started from the exact distribution at FIRST.

    The result is linear in the start and in every draw: column 0 has none of them, column k one unit of one of them.
    """
    grid = fractional_grid(n, eta)
    a = grid.alpha_bar[0]
    unit = torch.eye(n + 2, dtype=torch.float64)[1:]
    columns = iter(unit[1:])
    x = a.sqrt() * mean + (a * spread**2 + 1 - a).sqrt() * unit[0]
    got = drive(start(name, x, grid, lambda: next(columns)), partial(gaussian, mean=mean, spread=spread))
    return float(got[0]), float((got[1:] - got[0]).square().sum())


def exact_moments(mean: float = MEAN, spread: float = SPREAD) -> tuple[float, float]:
    a = 1 / (1 + LAST**2)
    return math.sqrt(a) * mean, a * spread**2 + 1 - a


def moment_error(name: str, n: int, eta: float = 0.0) -> float:
    """The larger error of mean and standard deviation."""
    (m, v), (mean, variance) = moments(name, n, eta), exact_moments()
    return max(abs(m - mean), abs(math.sqrt(v) - math.sqrt(variance)))


def order(error: Callable[[int], float], sizes: tuple[int, ...] = (80, 160, 320)) -> float:
    """Slope of log error over log n, by least squares."""
    errors = [error(n) for n in sizes]
    return -float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])


def measured(name: str) -> float:
    """The sampler's order: of its path without noise, or of its moments where it needs noise."""
    return order(lambda n: moment_error(name, n) if name in STOCHASTIC else flow_error(name, n))


def table() -> str:
    """Every sampler's order and its errors, as Markdown."""
    lines = ["| sampler | order | error at 20 steps | at 160 | of |", "|---|---|---|---|---|"]
    for name in SAMPLERS:
        what, error = ("mean and deviation", moment_error) if name in STOCHASTIC else ("path", flow_error)
        lines.append(f"| `{name}` | {measured(name):.2f} | {error(name, 20):.1e} | {error(name, 160):.1e} | {what} |")

    def stochastic(n: int) -> float:
        return moment_error("ddim", n, 1.0)

    def even(n: int) -> float:
        return flow_error("plms", n, "linear")

    eta = f"| {order(stochastic):.2f} | {stochastic(20):.1e} | {stochastic(160):.1e} | mean and deviation |"
    plms = f"| {order(even, (2000, 4000, 8000)):.2f} | {even(20):.1e} | {even(160):.1e} | path, even steps in σ |"
    return "\n".join([*lines, f"| `ddim`, eta 1 {eta}", f"| `plms` {plms}"])


def main() -> None:
    """Print the table, and with --write put it into docs/samplers.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"put the table into docs/{REPORT.name}")
    args = parser.parse_args()
    text = table()
    print(text)
    if args.write:
        write(REPORT, "orders", text)


if __name__ == "__main__":
    main()
