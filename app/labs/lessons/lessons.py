"""The guided lessons' shape: which there are, and the links with which each opens its lab. Words are in app.i18n."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.labs.common.schedules import KINDS

State = Mapping[str, Any]


@dataclass(frozen=True)
class Move:
    """A link: the lab it opens and the values it sets; its words are `lesson_{lesson}_{name}`."""

    name: str
    lab: str
    state: State


@dataclass(frozen=True)
class Lesson:
    """The panel that shows what its "See" is about, "" for none, and its links."""

    panel: str
    moves: Sequence[Move] = ()


# A link leaves what it does not name: what another link to Schedules changes is set back.
ALL_FOUR: State = {"kinds": list(KINDS), "linear_end": 0.012}
LESSONS: Mapping[str, Lesson] = {
    "schedules": Lesson(
        "curves",
        (
            Move("move1", "schedules", {**ALL_FOUR, "quantity": "snr", "second": "alpha_bar", "t": 500}),
            Move("move2", "schedules", {**ALL_FOUR, "quantity": "snr", "linear_end": 0.024, "t": 500}),
        ),
    ),
    "lower_bound": Lesson(
        "weights", (Move("move1", "lower_bound", {"t": 1}), Move("move2", "lower_bound", {"t": 998}))
    ),
    "losses": Lesson("players", (Move("move1", "losses", {"logit": 0}), Move("move2", "losses", {"logit": 2}))),
    "autoencoder": Lesson(
        "reconstruction",
        (
            Move("move1", "autoencoder", {"posterior_noise": 0}),
            Move("move2", "autoencoder", {"posterior_noise": 100}),
        ),
    ),
    "denoising": Lesson(
        "scrub",
        (
            Move("move1", "denoising", {"walk_steps": 20, "walk_seed": 7, "step": 1}),
            Move("move2", "denoising", {"walk_steps": 20, "walk_seed": 7, "step": 10, "fork_step": 10}),
        ),
    ),
    "attention": Lesson("heat", (Move("move1", "attention", {"walk_prompt": "a red apple and a yellow banana"}),)),
    "architecture": Lesson(
        "blocks", (Move("move1", "architecture", {"part": "unet"}), Move("move2", "architecture", {"part": "text"}))
    ),
    "xy_plot": Lesson(
        "sheet",
        (
            Move(
                "move1", "xy_plot", {"x_axis": "steps", "x_values": "3, 6, 12, 25", "y_axis": "eta", "y_values": "0, 1"}
            ),
            Move(
                "move2", "xy_plot", {"x_axis": "words", "x_values": "apple, pear", "y_axis": "seed", "y_values": "7, 8"}
            ),
        ),
    ),
    "reference": Lesson(""),
}

# Where the reference is wrong; an item's words are reference_{item}, reference_{item}_says, reference_{item}_right.
REFERENCE: Mapping[str, Move | None] = {
    "linear": Move("linear", "schedules", {**ALL_FOUR, "quantity": "beta", "t": 500}),
    "division": None,
    "cosine": Move("cosine", "schedules", {"quantity": "beta", "kinds": ["cosine"], "t": 500}),
    "weights": Move("weights", "lower_bound", {"forms": ["x0", "x0_published"], "t": 1}),
    "uniform": Move("uniform", "schedules", {"S": 7}),
    "quad": Move("quad", "schedules", {"S": 100}),
    "begin": Move("begin", "schedules", {"S": 25}),
    "lost": Move("lost", "schedules", {"S": 50}),
    "predict_x0": None,
    "end": None,
    "kl": None,
}
