"""Settings of a file that a person hands in, refused in the page's words."""

from __future__ import annotations

import re
from pathlib import Path

from app.schemas import RequestError
from ldm_core import metadata
from ldm_core.sampling import ParameterError, SamplingParams


def read_png(path: Path) -> tuple[SamplingParams, dict[str, str]]:
    """ldm_core.metadata.read_png, whose refusals become RequestErrors."""
    try:
        return metadata.read_png(path)
    except metadata.MetadataError as error:
        raise RequestError(error.key, **error.values) from None
    except ParameterError as error:
        raise RequestError.of(error) from None


def file_name(prompt: str, seed: int, job_id: str) -> str:
    """A picture's file name, which says what it shows: "a-red-apple-7-0f3c29aa.png"."""
    words = re.sub(r"[^a-z0-9]+", "-", prompt.lower())[:48].strip("-")
    return f"{words or 'picture'}-{seed}-{job_id[:8]}.png"
