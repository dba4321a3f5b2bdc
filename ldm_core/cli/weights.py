"""Options of every verb that reads a weights file."""

from __future__ import annotations

import argparse
from typing import get_args

from ldm_core.config import Parameterization


def add_reading(parser: argparse.ArgumentParser) -> None:
    """--ema and --parameterization."""
    parser.add_argument("--ema", action="store_true", help="take the averaged weights of a training checkpoint")
    add_parameterization(parser)


def add_parameterization(parser: argparse.ArgumentParser) -> None:
    """--parameterization: the last word on what the network predicts."""
    parser.add_argument(
        "--parameterization",
        choices=get_args(Parameterization),
        help="what the network predicts, where the file does not say it or is wrong (default: what it says, else eps)",
    )
