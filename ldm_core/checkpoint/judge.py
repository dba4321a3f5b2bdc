"""The judge as one small safetensors file, its vocabulary in the header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ldm_core.checkpoint.errors import CheckpointError, one_line
from ldm_core.checkpoint.files import container_format, parse_json, read_safetensors, sha256, write_safetensors
from ldm_core.models.judge import Judge, JudgeConfig

KEY = "judge"


def save_judge(state: Mapping[str, Tensor], config: JudgeConfig, path: Path, metadata: Mapping[str, str]) -> None:
    """Weights in fp16 (counters as they are) → path; equal weights give equal bytes."""
    tensors = {k: v.detach().to(torch.float16) if v.is_floating_point() else v.detach() for k, v in state.items()}
    write_safetensors(path, tensors, {**metadata, KEY: json.dumps(asdict(config))})


def load_judge(path: Path) -> tuple[Judge, str]:
    """(judge in fp32, frozen; the file's sha256). Raises CheckpointError where there is none or it is another file."""
    if not path.is_file():
        raise CheckpointError(
            f"there is no judge {path}: `python -m ldm_core train judge` trains one, --judge names it"
        )
    if container_format(path) != "safetensors":
        raise CheckpointError(f"{path.name} is no judge: `python -m ldm_core train judge` writes judge.safetensors")
    tensors, metadata = read_safetensors(path)
    if KEY not in metadata:
        raise CheckpointError(f"{path.name} is no judge: its header has no {KEY!r}")
    try:
        stored = parse_json(metadata[KEY])
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
        judge = Judge(JudgeConfig(**values))
        judge.load_state_dict(tensors)
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointError(f"{path.name} is a judge of another shape: {one_line(error)}") from error
    return judge.float().eval().requires_grad_(False), sha256(path)
