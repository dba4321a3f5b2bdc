"""The loaded model's blocks for a size of picture: shapes, parameters, FLOPs. Nothing is computed for real."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from app.i18n import say
from app.labs.common.plot import Axis, Plot, Series
from ldm_core.config import ModelConfig, UNetConfig
from ldm_core.models.autoencoder import AutoencoderKL
from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.models.unet import UNetModel

PARTS = ("text", "unet", "encoder", "decoder")


@dataclass(frozen=True)
class Block:
    """One block: its checkpoint name, what it is, output shape without the batch, parameters and FLOPs of one pass."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    flops: int


def blocks(config: ModelConfig, part: str, height: int, width: int) -> list[Block]:
    """The blocks of a part in the order a picture passes them, for a picture of height × width pixels.

    Runs on torch's meta device, where tensors have shapes and no values; FLOPs as torch.utils.flop_counter counts
    them (a multiplication and its addition are two).
    """
    latent = config.latent_shape(height, width)
    with torch.device("meta"), torch.no_grad():
        model = LatentDiffusion(config)
        if part == "text":
            if config.text is None:
                return []
            ids = torch.zeros((1, config.text.text_len), dtype=torch.int64)
            root = model.cond_stage_model.transformer.text_model
            names = ["embeddings", *(f"encoder.layers.{i}" for i in range(config.text.layers)), "final_layer_norm"]
            return _measure(root, names, lambda: model.cond_stage_model(ids))
        if part == "unet":
            unet, t = model.model.diffusion_model, torch.zeros(1)
            x = torch.zeros((1, config.unet.in_channels, *latent[1:]))
            names = [name for name, _ in unet.named_children() if name not in ("input_blocks", "output_blocks")]
            inner = [f"input_blocks.{i}" for i in range(len(unet.input_blocks))]
            outer = [f"output_blocks.{i}" for i in range(len(unet.output_blocks))]
            at = names.index("middle_block")
            context = _context(config)
            order = [*names[:at], *inner, "middle_block", *outer, *names[at + 1 :]]
            return _measure(unet, order, lambda: unet(x, t, **context))
        stage = model.first_stage_model
        if not isinstance(stage, AutoencoderKL):
            return []
        if part == "encoder":
            image = torch.zeros((1, 3, height, width))
            return _measure(stage.encoder, list(_stages(stage.encoder, "down")), lambda: stage.encoder(image))
        z = torch.zeros((1, *latent))
        return _measure(stage.decoder, list(_stages(stage.decoder, "up")), lambda: stage.decode(z))


def _context(config: ModelConfig) -> dict[str, Tensor]:
    if config.conditioning_key == "adm":
        return {"y": torch.zeros(1, dtype=torch.int64)}
    if config.text is None or config.unet.context_dim is None:
        return {}
    return {"context": torch.zeros((1, config.text.text_len, config.unet.context_dim))}


def _stages(module: nn.Module, levels: str) -> Iterable[str]:
    """Children in the order they run; the decoder keeps its levels by resolution, the lowest last."""
    for name, child in module.named_children():
        if name == levels and isinstance(child, nn.ModuleList):
            order = range(len(child)) if levels == "down" else reversed(range(len(child)))
            yield from (f"{name}.{i}" for i in order)
        else:
            yield name


def _measure(root: nn.Module | Tensor, names: list[str], run: Any) -> list[Block]:
    assert isinstance(root, nn.Module)
    shapes: dict[str, tuple[int, ...]] = {}
    counter = FlopCounterMode(display=False)
    flops: dict[str, int] = {}
    hooks = []
    for name in names:
        module = root.get_submodule(name)

        def before(_m: nn.Module, _i: Any, name: str = name) -> None:
            flops[name] = flops.get(name, 0) - counter.get_total_flops()

        def after(_m: nn.Module, _i: Any, out: Any, name: str = name) -> None:
            flops[name] += counter.get_total_flops()
            shapes[name] = tuple(out.shape[1:]) if isinstance(out, Tensor) else ()

        hooks += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    with counter:
        run()
    for hook in hooks:
        hook.remove()
    return [_block(name, root.get_submodule(name), shape, flops[name]) for name in names if (shape := shapes.get(name))]


def _block(name: str, module: nn.Module, shape: tuple[int, ...], flops: int) -> Block:
    inside = [type(child).__name__ for child in module.children() if not isinstance(child, nn.Identity)]
    listed = isinstance(module, (nn.Sequential, nn.ModuleList)) and inside
    kind = " + ".join(inside) if listed else type(module).__name__
    return Block(name, kind, shape, sum(p.numel() for p in module.parameters()), flops)


def conditioning_weights(config: ModelConfig) -> dict[str, list[str]]:
    """conditioning_key, as Python writes it → the weights its condition enters by, in the loaded UNet's geometry.

    They are those that a UNet of this key has beyond the unconditional one, or has in another shape.
    """
    plain = replace(config.unet, in_channels=config.unet.out_channels, context_dim=None, num_classes=None)
    channels = 2 * plain.in_channels
    width = 1 + plain.model_channels * max(plain.channel_mult)  # as wide as no block, so that all are seen
    configs = {
        "None": plain,
        "concat": replace(plain, in_channels=channels),
        "crossattn": replace(plain, context_dim=width),
        "hybrid": replace(plain, in_channels=channels, context_dim=width),
        "adm": replace(plain, num_classes=2),
    }
    bare = _shapes(plain)
    return {key: [n for n, shape in _shapes(unet).items() if bare.get(n) != shape] for key, unet in configs.items()}


def _shapes(config: UNetConfig) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(weight.shape) for name, weight in UNetModel(config).named_parameters()}


def cost_plot(rows: list[Block], lang: str) -> Plot:
    """GFLOPs per block, in the order they run."""
    x = np.arange(len(rows), dtype=float)
    gflops = np.array([row.flops / 1e9 for row in rows])
    most = max(rows, key=lambda row: row.flops)
    totals = {"flops": f"{gflops.sum():.2f}", "parameters": f"{sum(r.parameters for r in rows) / 1e6:.2f}"}
    return Plot(
        title=say(lang, "cost_plot"),
        x=Axis(say(lang, "axis_block"), ticks=tuple(row.name for row in rows)),
        y=Axis("GFLOP"),
        series=(Series("GFLOP", x, gflops, 0, "bars"),),
        summary=say(lang, "cost_summary", name=most.name, **totals),
        source="torch.utils.flop_counter.FlopCounterMode",
    )
