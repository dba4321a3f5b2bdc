"""Settings of a file that a person hands in, refused in the page's words."""

from __future__ import annotations

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
