"""What diffusion runs read, written before or beside them: latents of single drawings, chunks of composed scenes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from ldm_core.config import ModelConfig
from ldm_core.data.colours import BACKGROUNDS
from ldm_core.data.corpus import Corpus
from ldm_core.data.scenes.draw import Drawings
from ldm_core.data.scenes.sampling import SceneSampler
from ldm_core.training.common.frozen_parts import find_run, load_autoencoder
from ldm_core.training.common.inputs import Inputs
from ldm_core.training.diffusion.conditions import frozen_text
from ldm_core.training.diffusion.latents import LatentCache, build_cache, open_cache
from ldm_core.training.diffusion.scene_pool import PoolSettings, Writer


def cache_latents(model: ModelConfig, inputs: Inputs, passes: int, device: torch.device | str) -> LatentCache:
    """Encode every drawing on white, then on random named backgrounds; goes on where an earlier call stopped."""
    corpus = Corpus(inputs.corpus)
    autoencoder = load_autoencoder(find_run(inputs.autoencoder), model.first_stage).to(device)
    build_cache(inputs.latents_dir, autoencoder, corpus.drawings, BACKGROUNDS, passes, device)
    return open_cache(inputs.latents_dir)


def cache_scenes(model: ModelConfig, settings: PoolSettings, inputs: Inputs, numbers: Iterable[int]) -> Iterator[Path]:
    """Write the validation sets, then the chunks of these numbers, each as it is asked for; what is there stays."""
    if inputs.scenes is None:
        raise ValueError("scenes are cached in a folder: --scenes DIR")
    corpus = Corpus(inputs.corpus)
    autoencoder = load_autoencoder(find_run(inputs.autoencoder), model.first_stage)
    sampler = SceneSampler(corpus, Drawings(corpus), settings.mix)
    writer = Writer(inputs.scenes, settings, sampler, autoencoder, frozen_text(model, inputs.text))
    writer.validation()
    return map(writer.chunk, numbers)
