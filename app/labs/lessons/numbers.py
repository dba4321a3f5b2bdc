"""The numbers that lessons state, each computed by ldm_core when the lesson is opened."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch

from app.labs.architecture.blocks import blocks
from app.labs.common.plot import crossing
from app.labs.common.schedules import KINDS, make_schedules
from app.labs.lessons.lessons import REFERENCE
from app.labs.losses.curves import player_terms
from app.labs.lower_bound.weights import form_weights, half_at, make_schedule
from ldm_core.config import ModelConfig
from ldm_core.diffusion.schedule import NoiseSchedule, make_beta_schedule, make_ddim_timesteps
from ldm_core.models.distribution import DiagonalGaussianDistribution

Numbers = dict[str, str]
T, START, END = 1000, 0.00085, 0.012  # the schedule of Stable Diffusion v1
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def numbers(lesson: str, config: ModelConfig) -> Numbers:
    """What fills the blanks of a lesson's words; `config` is the loaded model's."""
    return NUMBERS[lesson](config) if lesson in NUMBERS else {}


def digits(x: float, n: int) -> str:
    """n significant digits, powers of ten written out."""
    mantissa, _, power = f"{x:.{n}g}".partition("e")
    return f"{mantissa}·10{str(int(power)).translate(SUPERSCRIPT)}" if power else mantissa


def _snr_one(schedule: NoiseSchedule) -> str:
    place = crossing(np.arange(schedule.num_timesteps, dtype=float), schedule.snr, 1.0)
    return "—" if place is None else f"{place:.0f}"


def _schedules(_: ModelConfig) -> Numbers:
    doubled = {kind: _snr_one(s) for kind, s in make_schedules(KINDS, T, START, 2 * END, 0.008).items()}
    moved = {"doubled": doubled["linear"], "doubled_sqrt": doubled["sqrt"]}
    return {kind: _snr_one(make_schedule(kind, 0.0)) for kind in KINDS} | moved


def _lower_bound(_: ModelConfig) -> Numbers:
    schedule = make_schedule("linear", 0.0)
    right, published = form_weights(schedule, "x0"), form_weights(schedule, "x0_published")
    at = {f"{name}{t}": digits(w[t], 3) for name, w in (("w", right), ("p", published)) for t in (1, 998)}
    return at | {"half": str(half_at(right)), "half_p": str(half_at(published))}


def _losses(_: ModelConfig) -> Numbers:
    return {
        f"{kind}{logit}": digits(float(player_terms(kind, np.array([float(logit)]))[0][0]), 3)
        for kind in ("hinge", "vanilla")
        for logit in (0, 2)
    }


def _autoencoder(config: ModelConfig) -> Numbers:
    pixels, latent = 3 * config.image_size**2, math.prod(config.latent_shape())
    return {"pixels": f"{pixels:,}", "latent": f"{latent:,}", "factor": f"{pixels / latent:.3g}"}


def _denoising(config: ModelConfig) -> Numbers:
    grid = NoiseSchedule.from_config(config.schedule).grid("uniform", 20)
    signal = grid.alpha_bar.sqrt().tolist()
    return {
        "t1": f"{grid.t[0]:.0f}",
        "s1": digits(signal[0], 3),
        "t10": f"{grid.t[9]:.0f}",
        "s10": digits(signal[9], 3),
        "t20": f"{grid.t[19]:.0f}",
        "s20": digits(signal[19], 3),
    }


def _attention(config: ModelConfig) -> Numbers:
    return {"positions": str(config.text.text_len) if config.text else "0"}


def _architecture(config: ModelConfig) -> Numbers:
    side = config.image_size
    parts = {part: blocks(config, part, side, side) for part in ("text", "unet", "decoder")}
    larger = blocks(config, "unet", 2 * side, 2 * side)
    parameters = {part: f"{sum(b.parameters for b in rows) / 1e6:.3g}" for part, rows in parts.items()}
    flops = {part: sum(b.flops for b in rows) for part, rows in parts.items()}
    share = 50 * flops["unet"] / (flops["text"] + 50 * flops["unet"] + flops["decoder"])
    growth = sum(b.flops for b in larger) / flops["unet"]
    return {**parameters, "share": f"{100 * share:.0f}", "growth": f"{growth:.2f}"}


def _reference(_: ModelConfig) -> Numbers:
    schedule = NoiseSchedule(make_beta_schedule("linear", T, START, END))
    return {**_reference_schedule(schedule), **_reference_sampler(schedule), "count": str(len(REFERENCE))}


def _reference_schedule(schedule: NoiseSchedule) -> Numbers:
    """Formulas of the text and the published code beside ldm_core's, each as docs/where-the-reference-is-wrong.md."""
    t = np.arange(T)
    over = (START**0.5 + t / T * (END**0.5 - START**0.5)) ** 2
    angle = (np.arange(T + 1) / T + 0.008) / 1.008 * math.pi / 2
    literal = 1 - np.cos(angle[:-1]) ** 2 / np.cos(angle[0]) ** 2
    published, right = schedule.lvlb_weights("x0"), schedule.lvlb_weights("x0", published=False)
    kl = float(DiagonalGaussianDistribution(torch.tensor([0.5, math.log(0.25)]).view(1, 2, 1, 1)).kl())
    return {
        "root": digits(schedule.betas[500], 3),
        "line": digits(make_beta_schedule("sqrt_linear", T, START, END)[500], 3),
        "over": digits(over[-1], 5),
        "last": digits(schedule.betas[-1], 5),
        "literal": digits(literal[500], 3),
        "cosine": digits(make_beta_schedule("cosine", T)[500], 3),
        "p1": digits(published[1], 3),
        "w1": digits(right[1], 4),
        "p998": digits(published[998], 3),
        "w998": digits(right[998], 2),
        "kl": digits(kl, 3),
        "text_kl": digits(0.5 * (1 + math.log(0.25) - 0.5**2 - 0.25), 3),
    }


def _reference_sampler(schedule: NoiseSchedule) -> Numbers:
    a = schedule.alphas_cumprod
    grids = [np.arange(0, T, T // n) + 1 for n in range(1, T + 1)]  # as published, n = 1 … 1000
    quad = (np.linspace(0, math.sqrt(0.8 * T), 100) ** 2).astype(int)
    uniform, trailing = (int(make_ddim_timesteps(kind, 25, T)[-1]) for kind in ("uniform", "trailing"))
    half = make_ddim_timesteps("uniform", 50, T)
    return {
        "seven": str(len(grids[6])),
        "wrong": str(sum(len(g) != n for n, g in enumerate(grids, 1))),
        "different": str(len(np.unique(quad))),
        "distinct": str(len(np.unique(make_ddim_timesteps("quad", 100, T)))),
        "uniform": str(uniform),
        "trailing": str(trailing),
        "a_uniform": digits(a[uniform] ** 0.5, 3),
        "a_trailing": digits(a[trailing] ** 0.5, 3),
        "lost": str(half[23]),
        "kept": str(half[24]),
        "mistaken": digits(((1 - a[900]) / a[900]) ** 0.5, 2),
        "left": digits(((1 - a[0]) / a[0]) ** 0.5, 3),
    }


NUMBERS: Mapping[str, Callable[[ModelConfig], Numbers]] = {
    "schedules": _schedules,
    "lower_bound": _lower_bound,
    "losses": _losses,
    "autoencoder": _autoencoder,
    "denoising": _denoising,
    "attention": _attention,
    "architecture": _architecture,
    "reference": _reference,
}
