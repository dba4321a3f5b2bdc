"""A model's networks as OpenVINO graphs: what a CPU uses where the package is installed."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import time
import warnings
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ldm_core.config import ModelConfig
from ldm_core.devices import OutOfMemory
from ldm_core.runtime.base import RuntimeFailed, WrongGraphs
from ldm_core.runtime.cache import entry_name
from ldm_core.runtime.networks import NETWORKS
from ldm_core.runtime.threads import MOST_STREAMS, Sharing, cores

LAYOUT = 3  # of an entry; raised where files of an older one would not do
PRECISION = {torch.float32: "f32", torch.bfloat16: "bf16"}
CPUINFO = Path("/proc/cpuinfo")


def unsupported_reason(config: ModelConfig, device: torch.device, dtype: torch.dtype) -> str | None:
    """Why this model cannot run on OpenVINO here, or None where it can."""
    try:
        version("openvino")  # a folder of that name in the working directory can be imported, and has no version
    except PackageNotFoundError:
        return "the package openvino is not installed"
    if device.type != "cpu":
        return f"it computes on the CPU, not on {device.type}"
    if dtype not in PRECISION:
        return f"it computes in float32 or bfloat16, not {str(dtype).removeprefix('torch.')}"
    if config.conditioning_key in ("concat", "hybrid"):
        return f"a model conditioned on pictures ({config.conditioning_key}) runs on torch"
    return None


def import_openvino() -> ModuleType:
    """The package, with its telemetry off: importing it with openvino-telemetry present would open a connection."""
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


@functools.cache
def core() -> Any:
    """The process's one OpenVINO core, never let go.

    With AVX-512 its CPU plugin gives the thread that loads it a stack for signals, and frees that memory when the
    plugin goes: where another thread drops the last core, the next signal (SIGTERM, say) kills the process.
    """
    return import_openvino().Core()


def graph_name(sha256: str, config: ModelConfig) -> str:
    """The cache entry of these weights: it depends on them, the geometry, and the versions that trace and read.

    What the network's output is read as is no part of a graph: `load` may read it as something else.
    """
    geometry = {name: value for name, value in config.to_dict().items() if name != "parameterization"}
    return entry_name(
        layout=LAYOUT, sha256=sha256, config=geometry, openvino=version("openvino"), torch=torch.__version__
    )


class OpenVINORuntime:
    """Graphs from a folder of the cache, compiled for this processor.

    The rows of a call to a small model's UNet are shared out among the cores: each thread computes rows of its own,
    with the same bits as if it had computed all. At a large model's layers, and at the other networks' of any model,
    every core works on the same rows. These networks are asked for one row at a time, which is as fast as all at once.

    The number of rows and the latent's size are dynamic. Graphs of one fixed shape take a quarter less processor time
    at embedded size, but a row's last bits then depend on the batch, and every shape would hold its own weights.
    """

    name = "openvino"

    def __init__(
        self, folder: Path, config: ModelConfig, dtype: torch.dtype, small: bool, threads: int | None = None
    ) -> None:
        """dtype is float32 or bfloat16; threads None is every core (at most `MOST_STREAMS` of them for a small model).

        WrongGraphs where a graph is damaged or does not compile, OutOfMemory where there is no room for it.
        """
        self.config = config
        self.threads = threads
        options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": PRECISION[dtype],
            "PERFORMANCE_HINT": "LATENCY",
            "CACHE_DIR": str(folder / f"compiled-{processor()}"),
        }
        if small or threads is not None:
            options |= {"NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads or cores()}
        streams = min(threads or cores(), MOST_STREAMS)
        own = {"unet": {"NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": streams}} if small else {}
        try:
            graphs = {
                name: core().compile_model(folder / f"{name}.xml", "CPU", options | own.get(name, {}))
                for name in NETWORKS
                if (folder / f"{name}.xml").is_file()
            }
            self._requests = {  # one a stream; there are never more of these than cores
                name: [graph.create_infer_request() for _ in range(graph.get_property("NUM_STREAMS"))]
                for name, graph in graphs.items()
            }
        except RuntimeError as error:
            if _is_out_of_memory(error):
                raise OutOfMemory("out of memory while OpenVINO compiles the graphs") from error
            raise WrongGraphs(f"OpenVINO cannot use the cached graphs: {_first_line(error)}") from error
        self._sharing = Sharing(len(self._requests["unet"]))

    def unet(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """x [B,C,h,w], t [B], context [B,L,D] (or class numbers [B], or nothing [B,0]) → [B,C,h,w]."""
        condition = () if self.config.conditioning_key is None else (context,)
        threads, begun = self._sharing.threads(len(x)), time.perf_counter()
        out = self._infer("unet", (x, t, *condition), parts=threads)
        self._sharing.note(len(x), threads, time.perf_counter() - begun)
        return out

    def decode(self, z: Tensor) -> Tensor:
        """Scaled latent z [B,C,h,w] → image [B,3,f·h,f·w], about [-1,1]."""
        return z if self.config.first_stage.kind == "identity" else self._infer("decoder", (z,), parts=len(z))

    def encode(self, image: Tensor) -> Tensor:
        """Image [B,3,H,W] in [-1,1] → the posterior's mode, scaled: [B,C,H/f,W/f]."""
        if self.config.first_stage.kind == "identity":
            return self.config.scale_factor * image
        return self._infer("encoder", (image,), parts=len(image))

    def encode_text(self, ids: Tensor) -> Tensor:
        """Token ids int64 [B,L] → context [B,L,D]."""
        return self._infer("text", (ids,), parts=len(ids))

    def _infer(self, name: str, inputs: Sequence[Tensor], parts: int) -> Tensor:
        """A network's answer to some rows in so many parts, as many of them at once as it has requests."""
        requests, parts = self._requests[name], max(1, parts)
        split = [np.array_split(_plain(tensor).numpy(), parts) for tensor in inputs]
        answers = []
        for first in range(0, parts, len(requests)):
            asked = list(zip(*(arrays[first : first + len(requests)] for arrays in split), strict=True))
            answers.append(_answers(name, requests[: len(asked)], asked))
        return torch.from_numpy(np.concatenate(answers) if len(answers) > 1 else answers[0])


def _answers(name: str, requests: Sequence[Any], asked: Sequence[Sequence[NDArray[Any]]]) -> NDArray[Any]:
    """A network's answer to rows of which each request is asked a part, all at once."""
    started, faults = [], []
    try:
        for request, part in zip(requests, asked, strict=True):
            request.start_async(list(part), share_inputs=True)
            started.append(request)
    except RuntimeError as error:
        faults.append(error)
    for request in started:  # all of them, also after a fault: they read the arrays
        try:
            request.wait()
        except RuntimeError as error:
            faults.append(error)
    if any(map(_is_out_of_memory, faults)):
        raise OutOfMemory(f"out of memory in OpenVINO's {name}")
    if faults:
        raise RuntimeFailed(f"OpenVINO's {name} failed: {_first_line(faults[0])}") from faults[0]
    return np.concatenate([request.get_output_tensor().data for request in requests])


def _plain(tensor: Tensor) -> Tensor:
    """On the CPU, contiguous, fp32 unless whole numbers."""
    return (tensor.float() if tensor.is_floating_point() else tensor).detach().cpu().contiguous()


def write_graphs(model: torch.nn.Module, folder: Path) -> None:
    """Trace the networks of a LatentDiffusion on the CPU into folder/{unet,decoder,text,encoder}.xml and .bin.

    The fp32 weights lie in a mapped file meanwhile, so the kernel can drop from memory what it needs room for. The
    model's own are gone afterwards.
    """
    from ldm_core.models.latent_diffusion import LatentDiffusion
    from ldm_core.runtime.networks import traceable

    ov = import_openvino()
    assert isinstance(model, LatentDiffusion)
    networks = traceable(model)
    weights = folder / "weights"
    _widen(model, weights)
    for name in (name for name in NETWORKS if name in networks):
        network = networks[name]
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the tracer's remarks on shapes, which the parity check answers
            graph = ov.convert_model(
                network.module,
                example_input=network.examples,
                input=[ov.PartialShape(list(shape)) for shape in network.shapes],
            )
        ov.save_model(graph, folder / f"{name}.xml", compress_to_fp16=False)
    model.to("meta")  # lets go of the file
    weights.unlink()


def _widen(module: torch.nn.Module, file: Path) -> None:
    """Make a module fp32, with its numbers in a new file that is mapped into memory. OSError where it has no room."""
    named = (*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False))
    size = sum(tensor.numel() for _, tensor in named if tensor.is_floating_point())
    if hasattr(os, "posix_fallocate"):  # a full disk would end the process at the first write into the map
        with file.open("wb") as made:
            os.posix_fallocate(made.fileno(), 0, 4 * size)
    free = torch.from_file(str(file), shared=True, size=size, dtype=torch.float32)

    def widened(tensor: Tensor) -> Tensor:
        nonlocal free
        if not tensor.is_floating_point():
            return tensor
        place, free = free.tensor_split([tensor.numel()])
        return place.view(tensor.shape).copy_(tensor)

    module._apply(widened)  # type: ignore[no-untyped-call]


def processor() -> str:
    """A name for what this processor can do: compiled blobs of another one may not run here."""
    text = CPUINFO.read_text(encoding="utf-8") if CPUINFO.exists() else ""
    flags = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    return hashlib.sha256(flags.encode()).hexdigest()[:12]


def _is_out_of_memory(error: Exception) -> bool:
    return "alloc" in str(error).lower()


def _first_line(error: Exception) -> str:
    """OpenVINO's messages are stacks of source locations; the last line says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
