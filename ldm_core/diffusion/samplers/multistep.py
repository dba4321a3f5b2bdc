"""Second-order samplers that remember: linear in x0 over λ = −log σ, so that the linear part of a step is exact.

A step from σ to σ' with h = log(σ/σ') is z' = e^{−h}·z + (1 − e^{−h})·D (Lu et al. 2022b, eq. 8), where D is the x0
estimate extrapolated to the middle of the step. The first step, and one to σ' = 0, are of first order.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ldm_core.diffusion.denoiser import ModelInput
from ldm_core.diffusion.samplers.base import Noise, Project, SamplerCoroutine, identity
from ldm_core.diffusion.samplers.sigma import sigmas_of, to_x, to_z
from ldm_core.diffusion.schedule import TimestepGrid


def extrapolate_x0(x0: list[Tensor], sigmas: Tensor, i: int) -> Tensor:
    """D of step i from the estimates so far: x0 + (x0 − x0_before)·h/(2·h_before) (Lu et al. 2022b, alg. 2)."""
    if i == 0 or sigmas[i + 1] == 0:
        return x0[-1]
    h, before = (sigmas[i] / sigmas[i + 1]).log(), (sigmas[i - 1] / sigmas[i]).log()
    return x0[-1] + (x0[-1] - x0[-2]) * h / (2.0 * before)


def dpmpp_2m(
    x: Tensor,
    grid: TimestepGrid,
    *,
    noise: Noise,
    project: Project = identity,
    last_sigma: float = 0.0,
    last_first_order: bool = False,
) -> SamplerCoroutine:
    """DPM-Solver++(2M) (Lu et al. 2022b), second order. Deterministic, ignores eta. Last σ: 0.

    The step to σ = 0 is of first order; last_first_order makes the last one so wherever it ends.
    """
    sigmas = sigmas_of(grid, last_sigma)
    z, seen = to_z(x, sigmas[0]), list[Tensor]()
    for i in range(len(grid)):
        prediction = yield ModelInput(to_x(z, sigmas[i]), grid.t[i], i)
        seen = [*seen[-1:], project(prediction.x0)]
        plain = last_first_order and i == len(grid) - 1
        estimate = seen[-1] if plain else extrapolate_x0(seen, sigmas, i)
        z = estimate + sigmas[i + 1] / sigmas[i] * (z - estimate)
        noise()
    return to_x(z, sigmas[-1])


def dpmpp_2m_sde(
    x: Tensor, grid: TimestepGrid, *, noise: Noise, project: Project = identity, last_sigma: float = 0.0
) -> SamplerCoroutine:
    """SDE-DPM-Solver++(2M), midpoint form (Lu et al. 2022b, eq. 19), stochastic. Ignores eta. Last σ: 0.

    The same D approached twice as fast, and noise that fills up to σ':
    z' = e^{−2h}·z + (1 − e^{−2h})·D + σ'√(1 − e^{−2h})·noise.
    """
    sigmas = sigmas_of(grid, last_sigma)
    z, seen = to_z(x, sigmas[0]), list[Tensor]()
    for i in range(len(grid)):
        prediction = yield ModelInput(to_x(z, sigmas[i]), grid.t[i], i)
        seen = [*seen[-1:], project(prediction.x0)]
        estimate, decay = extrapolate_x0(seen, sigmas, i), (sigmas[i + 1] / sigmas[i]) ** 2
        z = estimate + decay * (z - estimate) + sigmas[i + 1] * (1.0 - decay).sqrt() * noise()
    return to_x(z, sigmas[-1])


def unipc(
    x: Tensor, grid: TimestepGrid, *, noise: Noise, project: Project = identity, last_sigma: float = 0.0
) -> SamplerCoroutine:
    """UniPC-2 with B(h) = e^h − 1 (Zhao et al. 2023): dpmpp_2m's step, corrected with the prediction at its end.

    The correction reuses the next step's prediction, so it costs none. Deterministic, ignores eta. Last σ: 0.
    """
    sigmas = sigmas_of(grid, last_sigma)
    z = start = to_z(x, sigmas[0])
    seen: list[Tensor] = []
    for i in range(len(grid)):
        prediction = yield ModelInput(to_x(z, sigmas[i]), grid.t[i], i)
        seen = [*seen[-2:], project(prediction.x0)]
        if i > 0:
            z = unipc_correct(start, seen, sigmas, i)
        start, estimate = z, extrapolate_x0(seen, sigmas, i)
        z = estimate + sigmas[i + 1] / sigmas[i] * (z - estimate)
        noise()
    return to_x(z, sigmas[-1])


def unipc_correct(start: Tensor, x0: list[Tensor], sigmas: Tensor, i: int) -> Tensor:
    """z at σ_i again, from the corrected z at σ_{i−1} and the estimates up to σ_i (Zhao et al. 2023, eq. 3).

    With u = −h, φ = e^u − 1, b₁ = (φ/u − 1)/φ and b₂ = 2·((φ/u − 1)/u − ½)/φ, weights ρ solve Σρ = b₁, Σρ·r = b₂.
    """
    *_, old, new = x0
    u = (sigmas[i] / sigmas[i - 1]).log()
    phi = torch.expm1(u)
    plain = old + sigmas[i] / sigmas[i - 1] * (start - old)
    if i == 1:  # two estimates: the trapezoid
        return plain - phi * 0.5 * (new - old)
    first = phi / u - 1.0
    b1, b2 = first / phi, 2.0 * (first / u - 0.5) / phi
    r = (sigmas[i - 2] / sigmas[i - 1]).log() / u  # where the oldest estimate lies, in units of this step: negative
    rho_old = (b1 - b2) / (1.0 - r)
    return plain - phi * (rho_old * (x0[-3] - old) / r + (b1 - rho_old) * (new - old))
