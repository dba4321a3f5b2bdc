"""Which runtime a model gets: what was asked for, or the fastest that is ready and right."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from ldm_core.devices import memory_guard
from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.runtime import cache, convert
from ldm_core.runtime.base import Runtime, RuntimeUnavailable, WrongGraphs, check_parity
from ldm_core.runtime.openvino import OpenVINORuntime, graph_name, unsupported_reason
from ldm_core.runtime.threads import is_small
from ldm_core.runtime.torch import TorchRuntime

RUNTIMES = ("auto", "torch", "openvino")
log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model in memory, the file it came from and its sha256; threads None is a runtime's own rule."""

    model: LatentDiffusion
    weights: Path
    sha256: str
    threads: int | None = None

    @property
    def dtype(self) -> torch.dtype:
        """The precision it computes in."""
        return next(self.model.parameters()).dtype

    def openvino_unsupported_reason(self) -> str | None:
        """Why OpenVINO is out of the question, or None."""
        return unsupported_reason(self.model.config, next(self.model.parameters()).device, self.dtype)


def choose(name: str, candidate: Candidate) -> Runtime:
    """'torch'; 'openvino', whose graphs are made first where the cache lacks them (a minute at low load, more for large
    models); or 'auto': OpenVINO where its graphs are in the cache and right, else torch, with one log line.

    Raises ValueError for another name, RuntimeUnavailable where openvino was asked for and cannot be had.
    """
    if name not in RUNTIMES:
        raise ValueError(f"runtime {name!r} is not one of {', '.join(RUNTIMES)}")
    reference = TorchRuntime(candidate.model, candidate.threads)
    if name == "torch":
        return reference
    try:
        return openvino(candidate, reference, may_convert=name == "openvino")
    except RuntimeUnavailable as reason:
        if name == "openvino":
            raise
        log.info("torch makes the pictures: %s", reason)
        return reference


def openvino(candidate: Candidate, reference: Runtime, may_convert: bool) -> OpenVINORuntime:
    """A runtime that has passed the parity check; an entry of the cache that fails it is removed, and made anew once.

    Raises RuntimeUnavailable, whatever it is that fails.
    """
    reason = candidate.openvino_unsupported_reason()
    if reason is not None:
        raise RuntimeUnavailable(reason)
    root = cache.cache_root()
    if root is None:
        raise RuntimeUnavailable("there is no folder for OpenVINO's graphs; set LATENT_LAB_CACHE to one of your own")
    name = graph_name(candidate.sha256, candidate.model.config)
    folder = cache.find(root, name)
    if folder is not None:
        try:
            return _started(folder, candidate, reference)
        except WrongGraphs as fault:
            log.warning("%s; the cached graphs are removed", fault)
            cache.remove(folder)
    if not may_convert:
        raise RuntimeUnavailable("OpenVINO's graphs of this model have not been made yet")
    convert.finish(convert.start(candidate.weights, root))
    folder = cache.find(root, name)
    if folder is None:
        raise RuntimeUnavailable(f"{candidate.weights.name} has changed since it was loaded")
    return _started(folder, candidate, reference)


def _started(folder: Path, candidate: Candidate, reference: Runtime) -> OpenVINORuntime:
    model = candidate.model
    try:
        with memory_guard("checking OpenVINO"):
            runtime = OpenVINORuntime(folder, model.config, candidate.dtype, is_small(model), candidate.threads)
            check_parity(runtime, reference, model.config, candidate.dtype)
    except MemoryError as fault:
        raise RuntimeUnavailable("there is not enough memory for OpenVINO's check") from fault
    except ImportError as fault:
        raise RuntimeUnavailable(f"OpenVINO cannot be imported: {fault}") from fault
    except LookupError as fault:  # another process has trimmed the cache meanwhile
        raise WrongGraphs(f"the cached graphs have no {fault}") from fault
    except RuntimeError as fault:
        raise WrongGraphs(f"OpenVINO failed at its check: {fault}") from fault
    return runtime
