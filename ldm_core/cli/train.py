"""`python -m ldm_core train PART --config FILE --name RUN [section.key=value …]`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ldm_core.training.common.inputs import CORPUS, LATENTS, Inputs

if TYPE_CHECKING:
    from accelerate import Accelerator

    from ldm_core.training.common.settings import RunSettings
    from ldm_core.training.common.task import Task

S = TypeVar("S", bound="RunSettings")
T = TypeVar("T", bound="Task")
ALONE = ("text", "binding", "judge")  # train in one process


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-command a part, plus what turns runs into a weights file."""
    parts = parser.add_subparsers(dest="part", required=True)
    for part, task in TASKS.items():
        about = f"{task.__doc__} The same command again goes on where the run stopped."
        sub = parts.add_parser(part, help=task.__doc__, description=about)
        sub.add_argument("--config", type=Path, help="TOML file, see configs/")
        sub.add_argument("--name", required=True, help="the run's directory in $LATENT_LAB_RUNS")
        if part != "judge":
            sub.add_argument("--init", type=Path, metavar="WEIGHTS", help="start from this weights file's part")
        sub.add_argument("--minutes", type=float, help="stop after this much training time (loop.minutes)")
        sub.add_argument("--corpus", type=Path, default=CORPUS, help="what `data emoji` built (default: %(default)s)")
        _device(sub)
        sub.add_argument("overrides", nargs="*", metavar="section.key=value", help="settings on top of the file")
        if part == "diffusion":
            _frozen_parts(sub)
    scenes = parts.add_parser("cache-scenes", help="Compose and encode chunks of scenes for diffusion runs.")
    scenes.add_argument("--config", type=Path, help="TOML file, see configs/")
    _frozen_parts(scenes)
    scenes.add_argument("--preset", default="EMOJI_128", help="the model they are for (default: %(default)s)")
    scenes.add_argument("--corpus", type=Path, default=CORPUS)
    scenes.add_argument("--first", type=int, default=0, help="number of the first chunk")
    scenes.add_argument("--last", type=int, required=True)
    scenes.add_argument("--every", type=int, default=1, help="take every n-th: several processes share the work")
    scenes.add_argument("overrides", nargs="*", metavar="section.key=value")
    cache = parts.add_parser("cache-latents", help="Encode the corpus for diffusion runs; goes on where it stopped.")
    cache.add_argument("--autoencoder", required=True, metavar="RUN", help="run, or weights file")
    cache.add_argument("--latents", type=Path, metavar="DIR", help=f"default: {LATENTS}/RUN")
    cache.add_argument("--passes", type=int, default=2, help="1: all on white; each further one: random named colours")
    cache.add_argument("--preset", default="EMOJI_128", help="the model they are for (default: %(default)s)")
    cache.add_argument("--corpus", type=Path, default=CORPUS)
    _device(cache)
    export = parts.add_parser("export", help="Put a model's runs into one weights file.")
    _frozen_parts(export)
    export.add_argument("--diffusion", required=True, nargs="+", metavar="RUN", help="of several the mean")
    export.add_argument("--out", type=Path, required=True, metavar="FILE")


def _frozen_parts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--autoencoder", required=True, metavar="RUN", help="run, or weights file")
    parser.add_argument("--text", metavar="RUN", help="run, or weights file; for presets with text")
    parser.add_argument("--latents", type=Path, metavar="DIR", help=f"default: {LATENTS}/RUN of the autoencoder")
    parser.add_argument("--scenes", type=Path, metavar="DIR", help="chunks of composed scenes, by `cache-scenes`")


def _device(parser: argparse.ArgumentParser) -> None:
    help_text = "auto, cpu, mps, cuda:1, or GPUs by number: '0,' is one, '0,1' two (under torchrun)"
    parser.add_argument("--device", "--gpus", default="auto", help=help_text)


def run(args: argparse.Namespace) -> int:
    """Each part's imports are its own. Devices are chosen before anything counts them."""
    if args.part in TASKS:
        from ldm_core.training.common.settings import check_run_name

        check_run_name(args.name)
    if hasattr(args, "device"):
        from ldm_core.devices import claim_devices

        args.device = claim_devices(args.device, os.environ)
        if args.part in ALONE and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ValueError(f"the {args.part} trains in one process: each caption is held against the whole batch")
    verbs = {**TASKS, "cache-latents": cache_latents, "cache-scenes": cache_scenes, "export": export_weights}
    verbs[args.part](args)
    return 0


def train_autoencoder(args: argparse.Namespace) -> None:
    """Train the autoencoder, which turns pictures into latents and back."""
    from ldm_core.training.autoencoder.task import AutoencoderTraining, build

    _train(AutoencoderTraining, build, args)


def train_text(args: argparse.Namespace) -> None:
    """Train the text encoder."""
    from ldm_core.training.text.task import TextTraining, build

    _train(TextTraining, build, args)


def train_binding(args: argparse.Namespace) -> None:
    """Train the text encoder's states at the words to say which thing has which colour, number and place."""
    from ldm_core.training.text.binding import BindingTraining, build

    _train(BindingTraining, build, args)


def train_diffusion(args: argparse.Namespace) -> None:
    """Train the UNet, on cached latents or on composed scenes."""
    from ldm_core.training.diffusion.settings import DiffusionTraining
    from ldm_core.training.diffusion.task import build

    _train(DiffusionTraining, build, args)


def train_judge(args: argparse.Namespace) -> None:
    """Train the image–text model that `evaluate` asks; no part of the model."""
    from ldm_core.training.judge.task import JudgeTraining, build, export

    task, directory = _train(JudgeTraining, build, args)
    export(directory, task.config)


TASKS = {
    "autoencoder": train_autoencoder,
    "text": train_text,
    "binding": train_binding,
    "diffusion": train_diffusion,
    "judge": train_judge,
}


def cache_scenes(args: argparse.Namespace) -> None:
    """Compose and encode chunks of scenes for diffusion runs; those that are there stay."""
    from ldm_core.presets import find_preset
    from ldm_core.training.diffusion import caches
    from ldm_core.training.diffusion.scene_pool import PoolSettings

    if args.every < 1:
        raise ValueError(f"--every must be at least 1, not {args.every}")
    model, numbers = find_preset(args.preset), range(args.first, args.last + 1, args.every)
    for path in caches.cache_scenes(model, _settings(PoolSettings, args), _inputs(args), numbers):
        print(path, flush=True)


def cache_latents(args: argparse.Namespace) -> None:
    """Encode every drawing on white, then on random named backgrounds."""
    from ldm_core.presets import find_preset
    from ldm_core.training.common.loop import make_accelerator
    from ldm_core.training.diffusion import caches

    model, inputs = find_preset(args.preset), _inputs(args)
    cache = caches.cache_latents(model, inputs, args.passes, make_accelerator(device=args.device).device)
    passes, rows = cache.backgrounds.shape
    print(f"{inputs.latents_dir}: {passes} passes of {rows}, scale factor {cache.scale_factor:.5f}")


def export_weights(args: argparse.Namespace) -> None:
    """Averaged weights of two or three runs in one file."""
    from ldm_core.training.common.frozen_parts import find_run
    from ldm_core.training.export import export

    autoencoder, diffusion = find_run(args.autoencoder), [find_run(run) for run in args.diffusion]
    text = find_run(args.text) if args.text else None
    out = args.out.expanduser()  # a shell leaves --out=~/x as it is
    config = export(autoencoder, text, diffusion, _inputs(args).latents_dir, out)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, scale factor {config.scale_factor:.5f}")


def _inputs(args: argparse.Namespace) -> Inputs:
    """Those of the paths and runs that the part has options for."""
    names = ("corpus", "init", "autoencoder", "text", "latents", "scenes")
    given = {name: value for name in names if (value := getattr(args, name, None)) is not None}
    paths: dict[str, Any] = {k: v.expanduser() if isinstance(v, Path) else v for k, v in given.items()}
    return Inputs(**paths)


def _settings(cls: type[Any], args: argparse.Namespace) -> Any:
    from ldm_core.training.common.settings import load_settings

    minutes = [f"loop.minutes={args.minutes}"] if getattr(args, "minutes", None) is not None else []
    return load_settings(cls, args.config, [*args.overrides, *minutes])


def _train(cls: type[S], build: Callable[[S, Inputs, Accelerator], T], args: argparse.Namespace) -> tuple[T, Path]:
    """Start the run, or go on with it; its task, trained, and its directory."""
    from ldm_core.training.common.loop import make_accelerator, start
    from ldm_core.training.common.settings import runs_dir

    settings, accelerator = _settings(cls, args), make_accelerator(device=args.device)
    task = build(settings, _inputs(args), accelerator)
    loop = start(task, settings, runs_dir() / args.name, accelerator)
    step = loop.run()
    if loop.main:
        print(f"{loop.directory}: step {step}, {loop.seconds / 60:.1f} minutes")
    return task, loop.directory
