"""What a run needs to go on exactly where it stopped, in one file that is written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from ldm_core.files import replacing
from ldm_core.training.common.task import Task

KEYS = {"step", "networks", "averages"}  # what exports read; the rest is needed to go on


def save_state(path: Path, task: Task, step: int, seconds: float) -> None:
    """Networks, optimizers, averages, clock and torch's global random state → path."""
    state = {
        "step": step,
        "seconds": seconds,
        "networks": {n: m.state_dict() for n, m in task.networks.items()},
        "optimizers": {n: o.state_dict() for n, o in task.optimizers.items()},
        "averages": {n: a.state_dict() for n, a in task.averages.items()},
        "rng": torch.get_rng_state(),  # dropout draws from it; everything else is a function of the step
    }
    with replacing(path) as partial, partial.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # that the archive is not whole; before it the disk said why
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_state(path: Path, task: Task) -> tuple[int, float]:
    """The inverse: fills the task, strictly; returns (step, seconds).

    Learning rate, betas and the like stay the task's own, so that a changed setting holds for the rest of a run.
    """
    state = read_state(path)
    try:
        return _fill(task, state)
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
        said = str(error).splitlines()[0]
        raise ValueError(f"{path} is of a run with other settings: {said}") from error


def _fill(task: Task, state: dict[str, Any]) -> tuple[int, float]:
    for name, network in task.networks.items():
        network.load_state_dict(state["networks"][name])
    for name, optimizer in task.optimizers.items():
        settings = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
        optimizer.load_state_dict(state["optimizers"][name])
        for group, own in zip(optimizer.param_groups, settings, strict=True):
            group.update(own)
    for name, average in task.averages.items():
        average.load_state_dict(state["averages"][name])
    torch.set_rng_state(state["rng"])
    return int(state["step"]), float(state["seconds"])


def read_state(path: Path) -> dict[str, Any]:
    """The file as it is; no code in it is run. ValueError where it is damaged or is not a training state."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, EOFError, LookupError, TypeError, AttributeError, UnpicklingError) as error:
        raise ValueError(f"{path} is damaged; without it the run begins anew") from error
    if not isinstance(state, dict) or not state.keys() >= KEYS:
        raise ValueError(f"{path} is no state of a run")
    return state


def averaged_weights(run: Path, network: str) -> dict[str, torch.Tensor]:
    """A run's network with its averaged weights put over the live ones (buffers stay), for exports.

    ValueError for a run of another part of a model, which has no such network.
    """
    state = read_state(run / "state.pt")
    if network not in state["networks"]:
        raise ValueError(f"{run} is a run of another part: it trained {', '.join(state['networks'])}, no {network!r}")
    weights: dict[str, torch.Tensor] = state["networks"][network]
    average = state["averages"].get(network)
    return {**weights, **average["shadow"]} if average else weights
