"""`python -m ldm_core train PART --config FILE --name RUN [section.key=value …]`."""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path
from typing import Any

CORPUS = Path("~/.cache/latent-lab/corpus")
LATENTS = Path("~/.cache/latent-lab/latents")
TOKENIZER = Path("weights/tokenizer")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-command a part, plus what turns runs into a weights file."""
    parts = parser.add_subparsers(dest="part", required=True)
    for part in ("autoencoder", "text", "binding", "diffusion", "judge"):
        sub = parts.add_parser(part, help=f"train the {part}; goes on where the run's state.pt ends")
        sub.add_argument("--config", type=Path, help="TOML file, see configs/")
        sub.add_argument("--name", required=True, help="the run's directory in $LATENT_LAB_RUNS")
        if part != "judge":
            sub.add_argument("--init", type=Path, metavar="WEIGHTS", help="start from this weights file's part")
        sub.add_argument("--minutes", type=float, help="stop after this much training time (loop.minutes)")
        sub.add_argument("--corpus", type=Path, default=CORPUS)
        _device(sub)
        sub.add_argument("overrides", nargs="*", metavar="section.key=value")
        if part == "diffusion":
            _frozen_parts(sub)
    scenes = parts.add_parser("cache-scenes", help="compose and encode chunks of scenes for diffusion runs")
    scenes.add_argument("--config", type=Path, help="TOML file, see configs/")
    _frozen_parts(scenes)
    scenes.add_argument("--corpus", type=Path, default=CORPUS)
    scenes.add_argument("--first", type=int, default=0, help="number of the first chunk")
    scenes.add_argument("--last", type=int, required=True)
    scenes.add_argument("--every", type=int, default=1, help="take every n-th: several processes share the work")
    scenes.add_argument("overrides", nargs="*", metavar="section.key=value")
    cache = parts.add_parser("cache-latents", help="encode the corpus for diffusion runs; goes on where it stopped")
    cache.add_argument("--autoencoder", required=True, metavar="RUN", help="run, or weights file")
    cache.add_argument("--latents", type=Path, metavar="DIR", help=f"default: {LATENTS}/RUN")
    cache.add_argument("--passes", type=int, default=2, help="1: all on white; each further one: random named colours")
    cache.add_argument("--preset", default="EMOJI_128")
    cache.add_argument("--corpus", type=Path, default=CORPUS)
    _device(cache)
    export = parts.add_parser("export", help="a model's runs → one weights file")
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
    if getattr(args, "name", None) is not None:
        from ldm_core.training.common.settings import check_run_name

        check_run_name(args.name)
    if args.part not in ("export", "cache-scenes"):
        from ldm_core.devices import claim_devices

        args.device = claim_devices(args.device, os.environ)
        if args.part in ("text", "binding", "judge") and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ValueError(f"the {args.part} trains in one process: each caption is held against the whole batch")
    verbs = {
        "autoencoder": train_autoencoder,
        "text": train_text,
        "binding": train_binding,
        "diffusion": train_diffusion,
        "judge": train_judge,
        "cache-latents": cache_latents,
        "cache-scenes": cache_scenes,
        "export": export_weights,
    }
    return verbs[args.part](args)


def train_autoencoder(args: argparse.Namespace) -> int:
    """The first stage."""
    from ldm_core.data.colours import BACKGROUNDS
    from ldm_core.data.corpus import Corpus
    from ldm_core.training.autoencoder.task import AutoencoderTask, AutoencoderTraining
    from ldm_core.training.common.loop import make_accelerator

    settings, corpus = _settings(AutoencoderTraining, args), Corpus(args.corpus.expanduser())
    if settings.decoder_only and args.init is None:
        raise ValueError("a decoder-only run needs --init WEIGHTS: it trains the decoder of an encoder that is there")
    accelerator = make_accelerator(device=args.device)
    task = AutoencoderTask(settings, corpus.drawings, corpus.sample, corpus.heldout, _palette(BACKGROUNDS), accelerator)
    return _train(task, settings, args, accelerator)


def train_text(args: argparse.Namespace) -> int:
    """The text encoder."""
    from ldm_core.training.text.task import run as run_text

    return run_text(args)


def train_binding(args: argparse.Namespace) -> int:
    """The text encoder's states at the words."""
    from ldm_core.data.corpus import Corpus
    from ldm_core.training.common.loop import make_accelerator
    from ldm_core.training.text.binding import BindingTask, BindingTraining

    if args.init is None:
        raise ValueError("binding needs --init WEIGHTS: the encoder to begin with, whose captions of drawings are kept")
    settings, accelerator = _settings(BindingTraining, args), make_accelerator(device=args.device)
    task = BindingTask(settings, Corpus(args.corpus.expanduser()), args.init, accelerator)
    args.init = None  # read by the task
    return _train(task, settings, args, accelerator)


def train_diffusion(args: argparse.Namespace) -> int:
    """The UNet, on cached latents or on a pool of composed scenes."""
    from ldm_core.training.common.loop import make_accelerator
    from ldm_core.training.diffusion.task import DiffusionTask, DiffusionTraining
    from ldm_core.training.export import find_run, load_autoencoder

    settings = _settings(DiffusionTraining, args)
    accelerator, model = make_accelerator(device=args.device), settings.model
    decoder = load_autoencoder(find_run(args.autoencoder), model.first_stage).to(accelerator.device)
    condition = _condition(args, model, accelerator.device)
    if args.scenes:
        from ldm_core.training.diffusion.scene_pool import EncodedText

        condition = EncodedText(condition, accelerator.device)
    batches = (_scene_batches if args.scenes else _drawing_batches)(args, settings, condition, accelerator)
    return _train(DiffusionTask(settings, batches, condition, decoder, accelerator), settings, args, accelerator)


def _drawing_batches(args: argparse.Namespace, settings: Any, condition: Any, accelerator: Any) -> Any:
    """Single drawings out of the latent cache, captioned anew each time."""
    from ldm_core.data.captions import caption, read_synonyms
    from ldm_core.data.corpus import Corpus
    from ldm_core.training.diffusion.batches import CaptionedRows
    from ldm_core.training.diffusion.latents import open_cache
    from ldm_core.training.diffusion.task import drawing_batches

    corpus, synonyms = Corpus(args.corpus.expanduser()), read_synonyms()
    rows = CaptionedRows(
        partial(corpus.sample, tone_power=settings.tone_power),
        lambda row, rng, background: caption(corpus.entries[row], rng, background, synonyms),
        corpus.heldout,
    )
    return drawing_batches(settings, open_cache(_latents(args)), rows, condition, accelerator)


def _scene_batches(args: argparse.Namespace, settings: Any, condition: Any, accelerator: Any) -> Any:
    """Composed scenes out of a pool's chunks, which `cache-scenes` writes beside the run."""
    from ldm_core.training.common.distributed import own_share
    from ldm_core.training.diffusion.scene_pool import PoolSettings, ScenePool
    from ldm_core.training.export import find_run, find_scale_factor

    return ScenePool(
        args.scenes.expanduser(),
        PoolSettings(),
        scale_factor=find_scale_factor(find_run(args.autoencoder), _latents(args)),
        timesteps=settings.model.schedule.timesteps,
        size=settings.loop.batch,
        seed=settings.loop.seed,
        caption_dropout=settings.caption_dropout,
        share=own_share(accelerator),
    )


def cache_scenes(args: argparse.Namespace) -> int:
    """Compose and encode chunks of scenes for diffusion runs; those that are there stay."""
    from ldm_core.data.corpus import Corpus
    from ldm_core.data.scenes.draw import Drawings
    from ldm_core.data.scenes.sampling import SceneSampler
    from ldm_core.training.diffusion.scene_pool import PoolSettings, Writer
    from ldm_core.training.diffusion.task import DiffusionTraining
    from ldm_core.training.export import find_run, load_autoencoder

    settings, model = _settings(PoolSettings, args), DiffusionTraining().model
    corpus = Corpus(args.corpus.expanduser())
    autoencoder = load_autoencoder(find_run(args.autoencoder), model.first_stage)
    sampler = SceneSampler(corpus, Drawings(corpus), settings.mix)
    writer = Writer(args.scenes.expanduser(), settings, sampler, autoencoder, _condition(args, model, "cpu"))
    writer.validation()
    for number in range(args.first, args.last + 1, args.every):
        print(writer.chunk(number), flush=True)
    return 0


def train_judge(args: argparse.Namespace) -> int:
    """The image–text model that `evaluate` asks; no part of the model."""
    from ldm_core.training.judge.task import run as run_judge

    return run_judge(args)


def _condition(args: argparse.Namespace, model: Any, device: Any) -> Any:
    """Captions → what the preset's UNet is conditioned on."""
    from ldm_core.text.tokenizer import Tokenizer
    from ldm_core.training.diffusion.conditions import NoCondition, StyleClass
    from ldm_core.training.export import FrozenText, find_run, load_text_encoder

    if model.conditioning_key is None:
        return NoCondition(device)
    if model.conditioning_key == "adm":
        return StyleClass(device)
    if args.text is None:
        raise ValueError(f"a run of {model.name} needs --text RUN")
    encoder = load_text_encoder(find_run(args.text), model.text)
    return FrozenText(Tokenizer.load(TOKENIZER, model.text.text_len), encoder, device)


def cache_latents(args: argparse.Namespace) -> int:
    """Encode every drawing on white, then on random named backgrounds."""
    from ldm_core.data.colours import BACKGROUNDS
    from ldm_core.data.corpus import Corpus
    from ldm_core.training.common.loop import make_accelerator
    from ldm_core.training.diffusion.latents import build_cache, open_cache
    from ldm_core.training.diffusion.task import DiffusionTraining
    from ldm_core.training.export import find_run, load_autoencoder

    first_stage = DiffusionTraining(preset=args.preset).model.first_stage
    corpus, device = Corpus(args.corpus.expanduser()), make_accelerator(device=args.device).device
    autoencoder = load_autoencoder(find_run(args.autoencoder), first_stage).to(device)
    build_cache(_latents(args), autoencoder, corpus.drawings, BACKGROUNDS, args.passes, device)
    cache = open_cache(_latents(args))
    print(f"{_latents(args)}: {len(cache.moments)} passes of {len(corpus)}, scale factor {cache.scale_factor:.5f}")
    return 0


def export_weights(args: argparse.Namespace) -> int:
    """Averaged weights of two or three runs in one file."""
    from ldm_core.training.export import export, find_run

    autoencoder, diffusion = find_run(args.autoencoder), [find_run(run) for run in args.diffusion]
    text = find_run(args.text) if args.text else None
    config = export(autoencoder, text, diffusion, _latents(args), args.out)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB, scale factor {config.scale_factor:.5f}")
    return 0


def _latents(args: argparse.Namespace) -> Path:
    path: Path = args.latents or LATENTS / Path(args.autoencoder).stem
    return path.expanduser()


def _settings(cls: Any, args: argparse.Namespace) -> Any:
    from ldm_core.training.common.settings import load_settings

    minutes = [f"loop.minutes={args.minutes}"] if getattr(args, "minutes", None) is not None else []
    return load_settings(cls, args.config, [*args.overrides, *minutes])


def _train(task: Any, settings: Any, args: argparse.Namespace, accelerator: Any) -> int:
    from ldm_core.training.common.loop import start
    from ldm_core.training.common.settings import runs_dir

    if args.init and not (runs_dir() / args.name / "state.pt").exists():
        task.init_from(args.init)
    loop = start(task, settings.loop, settings, args.name, runs_dir(), accelerator)
    step = loop.run()
    if loop.main:
        print(f"{loop.directory}: step {step}, {loop.seconds / 60:.1f} minutes")
    return 0


def _palette(backgrounds: Any) -> Any:
    import numpy as np

    return np.array(list(backgrounds.values()), np.uint8)
