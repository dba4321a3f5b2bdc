"""LPIPS without its download: the trunk comes from a file, or is random."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any, Literal

import lpips
import torch
from torch import nn

Trunk = Literal["alex", "vgg", "squeeze"]


class FrozenLPIPS(lpips.LPIPS):  # type: ignore[misc]
    """LPIPS that stays in evaluation inside a loss that trains.

    Its linear layers have dropout, which CompVis' code leaves on: there the distance that the autoencoder learns by is
    half switched off at random.
    """

    def train(self, mode: bool = True) -> FrozenLPIPS:
        """Stay in evaluation."""
        del mode
        super().train(False)
        return self


def make_lpips(trunk: str, net: Trunk = "vgg") -> nn.Module:
    """LPIPS distance (Zhang et al. 2018) of images [B,3,H,W] in [-1,1] → [B,1,1,1], frozen.

    trunk: "random", or the path of torchvision's state dict of `net` (a .pth file). A random trunk is no stand-in for
    the trained one: figures say which was used. Raises ValueError where the file holds another network.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # lpips announces itself
        model: Any = FrozenLPIPS(net=net, pnet_rand=True, verbose=False)
    if trunk != "random":
        load_trunk(model.net, Path(trunk), net)
    return model.eval().requires_grad_(False)


def load_trunk(module: nn.Module, path: Path, net: str) -> None:
    """torchvision names its layers features.N; lpips files the same N under slices."""
    weights = torch.load(path, map_location="cpu", weights_only=True)
    wanted = module.state_dict()
    source = {k: k.split(".", 1)[1] for k in wanted}  # slice2.5.weight → 5.weight
    missing = [v for v in source.values() if f"features.{v}" not in weights]
    if missing:
        raise ValueError(f"{path} is no {net} trunk: features.{missing[0]} is missing")
    module.load_state_dict({k: weights[f"features.{v}"] for k, v in source.items()})
