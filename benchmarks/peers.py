"""diffusers' pipeline of the same weights, as it is and with its UNet and VAE compiled by OpenVINO."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from torch import Tensor, nn
from transformers.utils import logging as transformers_logging

from ldm_core.checkpoint import save_model
from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.presets import SD_V1
from ldm_core.runtime.openvino import PRECISION, import_openvino


def sd_weights(folder: Path) -> Path:
    """A file of SD v1's geometry with random weights, fp16, the same ones every time; made unless it is there."""
    path = folder / "sd.safetensors"
    if not path.exists():
        torch.manual_seed(0)
        save_model(LatentDiffusion(SD_V1), SD_V1, path, "float16")
    return path


def eager(folder: Path, dtype: torch.dtype, device: torch.device) -> StableDiffusionPipeline:
    """The pipeline in a diffusers folder, with DDIM; quiet about it."""
    for logging in (diffusers_logging, transformers_logging):
        logging.disable_progress_bar()
    pipe = StableDiffusionPipeline.from_pretrained(folder, dtype=dtype, safety_checker=None).to(device)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def compiled(folder: Path, dtype: torch.dtype) -> StableDiffusionPipeline:
    """The same, its UNet and its VAE's decoder in OpenVINO with dynamic shapes and OpenVINO's own settings."""
    pipe = eager(folder, torch.float32, torch.device("cpu"))
    size, context = pipe.unet.config.sample_size, pipe.text_encoder.config
    channels = pipe.unet.config.in_channels
    z = torch.randn(2, channels, size, size)
    told = torch.randn(2, context.max_position_embeddings, context.hidden_size)

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unet = pipe.unet

        def forward(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
            return self.unet(x, t, encoder_hidden_states=context, return_dict=False)[0]

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vae = pipe.vae

        def forward(self, z: Tensor) -> Tensor:
            return self.vae.decode(z, return_dict=False)[0]

    shapes = [-1, channels, -1, -1]
    t, unet_shapes = torch.tensor([1.0, 501.0]), [shapes, [-1], [-1, -1, told.shape[2]]]
    unet = _compile(UNet(), (z, t, told), unet_shapes, folder, dtype)
    decode = _compile(Decoder(), (z[:1],), [shapes], folder, dtype)

    def call_unet(x: Tensor, t: Any, encoder_hidden_states: Tensor, **_: object) -> tuple[Tensor]:
        return (unet(x, torch.as_tensor(t).float().expand(len(x)), encoder_hidden_states),)

    def call_decode(z: Tensor, **_: object) -> tuple[Tensor]:
        return (decode(z),)

    for parameter in (*pipe.unet.parameters(), *pipe.vae.parameters()):  # their memory is needed no more
        parameter.data = torch.empty(0)
    pipe.unet.forward, pipe.vae.decode = call_unet, call_decode
    return pipe


def _compile(
    module: nn.Module, examples: tuple[Tensor, ...], shapes: list[list[int]], folder: Path, dtype: torch.dtype
) -> Callable[..., Tensor]:
    """Trace, write and read again, so that the weights are mapped and not held twice."""
    ov = import_openvino()
    path = folder / f"{type(module).__name__}.xml"
    if not path.exists():
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            graph = ov.convert_model(module, example_input=examples, input=[ov.PartialShape(s) for s in shapes])
        ov.save_model(graph, path, compress_to_fp16=False)  # as ours
        del graph
    options = {"INFERENCE_PRECISION_HINT": PRECISION[dtype], "PERFORMANCE_HINT": "LATENCY"}
    request = ov.Core().compile_model(path, "CPU", options).create_infer_request()

    def call(*inputs: Tensor) -> Tensor:
        found = request.infer([tensor.float().contiguous().numpy() for tensor in inputs], share_inputs=True)
        return torch.from_numpy(found[0].copy())

    return call
