"""What changes no picture does not keep a file from loading: renamed, reshaped, or left aside with a note."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ldm_core.__main__ import main
from ldm_core.checkpoint import CheckpointError, load_model
from ldm_core.presets import TINY
from tests.tiny import tiny_checkpoint, tiny_model

Tensors = dict[str, torch.Tensor]
TEXT = "cond_stage_model.transformer"
HEADER = {"config": json.dumps(TINY.to_dict()), "latent_lab_format": "1"}


def renamed(words: dict[str, str], flat: bool = False) -> Callable[[Tensors], Tensors]:
    """The autoencoder's attention in other words, perhaps as linear layers."""

    def change(tensors: Tensors) -> Tensors:
        changed = {}
        for name, value in tensors.items():
            head, _, tail = name.partition(".attn_1.")
            part, _, kind = tail.rpartition(".")
            if part in words:
                value = value.flatten(1) if flat and value.ndim == 4 else value
                name = f"{head}.attn_1.{words[part]}.{kind}"
            changed[name] = value.clone()
        assert changed.keys() != tensors.keys() or flat
        return changed

    return change


def more(**tensors: torch.Tensor) -> Callable[[Tensors], Tensors]:
    return lambda given: given | {name.replace("__", "."): value for name, value in tensors.items()}


def wrapped(prefix: str) -> Callable[[Tensors], Tensors]:
    return lambda given: {prefix + name: value for name, value in given.items()}


ONE = torch.ones(2)
NEW = {"q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0", "norm": "group_norm"}
OLD = {"q": "query", "k": "key", "v": "value", "proj_out": "proj_attn", "norm": "group_norm"}
CHANGES: dict[str, tuple[Callable[[Tensors], Tensors], str]] = {
    "attention, diffusers": (renamed(NEW), "diffusers' naming"),
    "attention, diffusers, linear": (renamed(NEW, flat=True), "diffusers' naming"),
    "attention, diffusers 2022": (renamed(OLD, flat=True), "diffusers' naming"),
    "attention, linear": (renamed({part: part for part in ("q", "k", "v", "proj_out")}, flat=True), ""),
    "logit scale": (more(**{f"{TEXT}.logit_scale": ONE}), "does not use"),
    "text projection": (more(**{f"{TEXT}.text_projection.weight": ONE}), "does not use"),
    "text projection, bare": (more(cond_stage_model__text_projection=ONE), "does not use"),
    "CLIP's pictures": (more(**{f"{TEXT}.vision_model.embeddings.x": ONE}), "does not use"),
    "counter": (more(global_step=torch.tensor(7)), "a counter of training"),
    "embedding manager": (more(embedding_manager__embedder__x=ONE), "the embedding manager"),
    "logvar": (more(logvar=torch.zeros(1000)), "log-variance"),
    "autoencoder's loss": (more(first_stage_model__loss__perceptual_loss__x=ONE), "training loss"),
    "torch.compile": (
        lambda t: {n.replace("model.diff", "model._orig_mod.diff", 1): v for n, v in t.items()},
        "wrapper",
    ),
    "data parallel": (wrapped("module."), "wrapper"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_loads_with_a_note(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, note = CHANGES[kind]
    path = tiny_checkpoint(tmp_path)
    original = load_file(path)
    save_file({n: v.contiguous().clone() for n, v in change(dict(original)).items()}, path, HEADER)
    loaded = load_model(path)
    weights = dict(loaded.model.named_parameters())
    assert weights.keys() == original.keys()
    assert all(torch.equal(weights[name], value) for name, value in original.items())
    assert note in " ".join(loaded.report)
    assert main(["inspect", str(path)]) == 0
    assert note in capsys.readouterr().out


def test_dictionaries_beside_flat_weights(tmp_path: Path) -> None:
    """Flat weights in a pickle, and what a training program saved with them."""
    from ldm_core.checkpoint.source import read_source

    weights = {"model.diffusion_model.out.2.bias": ONE}
    torch.save(weights | {"global_step": 7, "optimizer": {"lr": 1e-4}, "args": None}, tmp_path / "flat.ckpt")
    source = read_source(tmp_path / "flat.ckpt")
    assert source.tensors.keys() == weights.keys()
    assert source.notes == ("3 entries beside the weights left aside: global_step, optimizer, args",)


def test_a_file_of_averages_alone(tmp_path: Path) -> None:
    """As a trained UNet is often published: --ema takes it, without it the refusal names the command."""
    state = dict(tiny_model().named_parameters())
    averaged = {
        "model_ema." + n.removeprefix("model.").replace(".", "") if n.startswith("model.") else n: v.detach().clone()
        for n, v in state.items()
    }
    path = tmp_path / "ema.safetensors"
    save_file(averaged | {"model_ema.decay": torch.tensor(0.9999)}, path, HEADER)
    with pytest.raises(CheckpointError, match=r"averaged .* alone: .* convert IN OUT --ema"):
        load_model(path)
    loaded = load_model(path, use_ema=True)
    assert all(torch.equal(value, state[name]) for name, value in loaded.model.named_parameters())
    assert main(["inspect", str(path), "--ema"]) == 0
