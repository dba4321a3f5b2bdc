"""A model's networks as plain functions of tensors, with example inputs: what a graph is traced from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.models.ops import Upsample
from ldm_core.runtime.base import small_side

NETWORKS = ("unet", "decoder", "text", "encoder")  # in the order in which a picture misses them


class Function(nn.Module):
    """A function of tensors and the module whose weights it uses, as one module that can be traced."""

    def __init__(self, function: Callable[..., Tensor], owner: nn.Module) -> None:
        super().__init__()
        self.owner = owner
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        """Whatever the function takes and gives."""
        return self.function(*inputs)


@dataclass(frozen=True, eq=False)
class Network:
    """What to trace: example inputs of two rows, and their shapes with -1 where a dimension may vary."""

    module: Function
    examples: tuple[Tensor, ...]
    shapes: tuple[tuple[int, ...], ...]


def traceable(model: LatentDiffusion) -> dict[str, Network]:
    """The networks of a model on the CPU, by name, to be traced in fp32; its upsampling takes a form that costs less.

    Raises ValueError for a model conditioned on pictures: its condition is not one tensor.
    """
    _fold_upsampling(model)
    config = model.config
    side = small_side(config)  # a graph serves every size, whatever it was traced at
    latent = torch.randn(2, config.latent_shape()[0], side, side)
    pixels = torch.randn(2, config.first_stage.in_channels, *2 * [side * config.first_stage.downsampling])
    x_shape, image_shape = (-1, latent.shape[1], -1, -1), (-1, pixels.shape[1], -1, -1)
    stage = model.first_stage_model
    networks = {
        "unet": _unet(model, latent, x_shape),
        "decoder": Network(Function(model.decode_first_stage, stage), (latent,), (x_shape,)),
        "encoder": Network(Function(_encode(model), stage), (pixels,), (image_shape,)),
    }
    if config.text is not None:
        ids = torch.full((2, config.text.text_len), config.text.eos)
        networks["text"] = Network(Function(model.cond_stage_model, nn.Module()), (ids,), ((-1, config.text.text_len),))
    if config.first_stage.kind == "identity":  # nothing to compute
        del networks["decoder"], networks["encoder"]
    return networks


def _fold_upsampling(model: nn.Module) -> None:
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, Upsample):
                setattr(parent, name, child.interleaved())


def _encode(model: LatentDiffusion) -> Callable[[Tensor], Tensor]:
    def encode(image: Tensor) -> Tensor:
        return model.config.scale_factor * model.encode_first_stage(image).mode()

    return encode


def _unet(model: LatentDiffusion, latent: Tensor, x_shape: tuple[int, ...]) -> Network:
    config = model.config
    if config.conditioning_key in ("concat", "hybrid"):
        raise ValueError(f"{config.name} is conditioned on pictures ({config.conditioning_key}): it runs on torch")
    t = torch.tensor([1.0, 501.0])
    if config.conditioning_key is None:
        return Network(Function(model.apply_model, model.model), (latent, t), (x_shape, (-1,)))
    apply = Function(model.apply_model, model.model)
    if config.conditioning_key == "adm":
        return Network(apply, (latent, t, torch.tensor([0, 1])), (x_shape, (-1,), (-1,)))
    length, width = (config.text.text_len, config.text.width) if config.text else (1, config.unet.context_dim or 1)
    return Network(apply, (latent, t, torch.randn(2, length, width)), (x_shape, (-1,), (-1, -1, width)))
