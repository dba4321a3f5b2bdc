"""`python -m ldm_core train autoencoder|text|diffusion --config FILE --name RUN [section.key=value …]`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

CORPUS = Path("~/.cache/latent-lab/corpus")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-command a part, plus what turns runs into a weights file."""
    parts = parser.add_subparsers(dest="part", required=True)
    for part in ("autoencoder", "text", "diffusion"):
        sub = parts.add_parser(part, help=f"train the {part}; goes on where the run's state.pt ends")
        sub.add_argument("--config", type=Path, help="TOML file, see configs/")
        sub.add_argument("--name", required=True, help="the run's directory in $LATENT_LAB_RUNS")
        sub.add_argument("--init", type=Path, metavar="WEIGHTS", help="start from this weights file's part")
        sub.add_argument("--minutes", type=float, help="stop after this much training time (loop.minutes)")
        sub.add_argument("--corpus", type=Path, default=CORPUS)
        sub.add_argument("overrides", nargs="*", metavar="section.key=value")


def run(args: argparse.Namespace) -> int:
    """Each part's imports are its own: torch is loaded only once the arguments are good."""
    return {"autoencoder": train_autoencoder, "text": train_text, "diffusion": train_diffusion}[args.part](args)


def train_autoencoder(args: argparse.Namespace) -> int:
    """The first stage."""
    from ldm_core.data.captions import BACKGROUNDS
    from ldm_core.data.corpus import Corpus
    from ldm_core.training.autoencoder import AutoencoderTask, AutoencoderTraining
    from ldm_core.training.loop import make_accelerator

    settings, corpus = _settings(AutoencoderTraining, args), Corpus(args.corpus.expanduser())
    accelerator = make_accelerator()
    task = AutoencoderTask(settings, corpus.drawings, corpus.sample, corpus.heldout, _palette(BACKGROUNDS), accelerator)
    return _train(task, settings, args, accelerator)


def train_text(args: argparse.Namespace) -> int:
    """The text encoder."""
    from ldm_core.training.text import run as run_text

    return run_text(args)


def train_diffusion(args: argparse.Namespace) -> int:
    """The UNet."""
    raise ValueError("not yet")


def _settings(cls: Any, args: argparse.Namespace) -> Any:
    from ldm_core.training.settings import load_settings

    minutes = [f"loop.minutes={args.minutes}"] if args.minutes else []
    return load_settings(cls, args.config, [*args.overrides, *minutes])


def _train(task: Any, settings: Any, args: argparse.Namespace, accelerator: Any) -> int:
    from ldm_core.training.loop import start
    from ldm_core.training.settings import runs_dir

    if args.init and not (runs_dir() / args.name / "state.pt").exists():
        task.init_from(args.init)
    loop = start(task, settings.loop, settings, args.name, runs_dir(), accelerator)
    step = loop.run()
    print(f"{loop.directory}: step {step}, {loop.seconds / 60:.1f} minutes")
    return 0


def _palette(backgrounds: Any) -> Any:
    import numpy as np

    return np.array(list(backgrounds.values()), np.uint8)
