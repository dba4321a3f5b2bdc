"""The rolling pool: every scene is seen so many times, batches are functions of their step, shares make the whole."""

from __future__ import annotations

import shutil
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ldm_core.data.corpus import Corpus
from ldm_core.data.scenes.captions import Caption
from ldm_core.data.scenes.draw import Drawings
from ldm_core.data.scenes.sampling import SceneSampler
from ldm_core.models.autoencoder import AutoencoderKL
from ldm_core.models.text import FrozenCLIPEmbedder
from ldm_core.presets import TINY
from ldm_core.text.tokenizer import Tokenizer
from ldm_core.training.common.distributed import WHOLE, Share
from ldm_core.training.common.inputs import Inputs
from ldm_core.training.common.loop import make_accelerator
from ldm_core.training.common.settings import LoopSettings
from ldm_core.training.diffusion.conditions import FrozenText
from ldm_core.training.diffusion.scene_pool import (
    VALIDATION,
    PoolSettings,
    ScenePool,
    Writer,
    cells,
    chunk_file,
    pool_settings,
    round_of,
    scene_batches,
    thing_tokens,
)
from ldm_core.training.diffusion.settings import DiffusionTraining
from tests.data.scenes.conftest import SHIPPED

CHUNK, SIZE, VIEWS, ROUNDS = 12, 4, 3, 7
TOKENIZER = Path(__file__).parents[3] / "weights" / "tokenizer"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Chunks whose latents have no spread and say which scene they are."""
    folder, rng = tmp_path_factory.mktemp("scenes"), torch.Generator().manual_seed(0)
    files = {chunk_file(folder, k): (CHUNK, CHUNK * k) for k in range(ROUNDS)}
    files |= {folder / name: (5, 1000) for name, _ in VALIDATION.values()}
    for path, (n, first) in files.items():
        moments = torch.zeros(n, 2, 4, 2, 2, dtype=torch.float16)
        moments[:, 0] = torch.arange(first, first + n)[:, None, None, None]
        tensors = {
            "moments": moments,
            "states": 1 + torch.rand(n, 2, 5, 3, generator=rng).half(),
            "owner": torch.zeros(n, 2, 2, dtype=torch.uint8),
            "words": torch.tensor([1, 2], dtype=torch.int8).expand(n, 2, 2).contiguous(),
            "empty": torch.zeros(5, 3, dtype=torch.float16),
        }
        save_file(tensors, path)
    return folder


def pool(directory: Path, share: Share = WHOLE, dropout: float = 0.25) -> ScenePool:
    return ScenePool(
        directory,
        PoolSettings(chunk=CHUNK, views=VIEWS),
        scale_factor=2.0,
        timesteps=100,
        size=SIZE,
        seed=4,
        caption_dropout=dropout,
        share=share,
    )


def test_every_scene_is_seen_as_often_as_the_settings_say(directory: Path):
    """Chunks 0 … 4 have left the pool after seven rounds of three chunks; none has come back."""
    steps = sum(min(r + 1, VIEWS) for r in range(ROUNDS)) * CHUNK // SIZE
    scenes = pool(directory)
    seen = Counter(int(v) for step in range(steps) for v in scenes[step].z[:, 0, 0, 0] / 2)
    assert [seen[k] for k in range(CHUNK * (ROUNDS - VIEWS + 1))] == [VIEWS] * CHUNK * (ROUNDS - VIEWS + 1)
    assert max(seen.values()) == VIEWS


def test_rounds_follow_each_other():
    lengths = Counter(round_of(step, 5, 4)[0] for step in range(200))
    assert [lengths[r] for r in range(6)] == [5, 10, 15, 20, 20, 20]
    assert [round_of(step, 5, 4)[1] for step in range(5, 15)] == list(range(10))


def test_a_batch_is_a_function_of_its_step_and_shares_make_it_up(directory: Path):
    whole, halves = pool(directory), [pool(directory, Share(i, 2)) for i in range(2)]
    for step in (9, 0, 9):
        again, first, second = (p[step] for p in (pool(directory), *halves))
        for one, two, *parts in zip(whole[step], again, first, second, strict=True):
            assert torch.equal(one, two)
            assert torch.equal(one, torch.cat(parts))


def test_dropped_captions_become_the_empty_prompt_and_name_nothing(directory: Path):
    scenes = pool(directory, dropout=0.5)
    batches = [scenes[step] for step in range(40)]
    dropped = torch.cat([(b.cond == 0).flatten(1).all(1) for b in batches])
    words = torch.cat([b.words for b in batches if b.words is not None])
    assert 0.35 < dropped.float().mean() < 0.65
    assert (words[dropped] == -1).all()
    assert (words[~dropped] > 0).all()


def test_validation_drops_no_caption_and_repeats_itself(directory: Path):
    scenes = pool(directory, dropout=1.0)
    one, two = ({n: list(bs) for n, bs in scenes.validation()} for _ in range(2))
    assert set(one) == {"val", "fresh"}
    for name, batches in one.items():
        assert sum(len(b.z) for b in batches) == 5
        for a, b in zip(batches, two[name], strict=True):
            assert torch.equal(a.noise, b.noise)
            assert (a.cond > 0).all()


def test_a_batch_that_does_not_divide_a_chunk_is_refused(directory: Path):
    with pytest.raises(ValueError, match="multiple"):
        ScenePool(directory, PoolSettings(chunk=10), 1.0, 100, 4, 0, 0.1)


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    """Of four scenes a chunk, each with two things, encoded by parts that are made up."""
    with zipfile.ZipFile(SHIPPED) as archive:
        archive.extractall(tmp_path / "corpus")
    corpus, settings = Corpus(tmp_path / "corpus"), PoolSettings({"two": 1.0}, chunk=4, views=2, validation=1)
    assert TINY.text is not None
    text = FrozenText(Tokenizer.load(TOKENIZER, TINY.text.text_len), FrozenCLIPEmbedder(TINY.text))
    sampler = SceneSampler(corpus, Drawings(corpus), settings.mix)
    return Writer(tmp_path / "pool", settings, sampler, AutoencoderKL(TINY.first_stage), text)


def test_a_pool_is_read_as_it_was_written(writer: Writer):
    writer.validation()
    for number in range(3):
        writer.chunk(number)
    inputs = Inputs(autoencoder=str(TOKENIZER.with_name("emoji-128.safetensors")), scenes=writer.directory)
    training = DiffusionTraining(preset="TINY", loop=LoopSettings(batch=2))
    batches = scene_batches(training, inputs, make_accelerator(device="cpu"))
    assert batches.settings == writer.settings
    assert all(len(batches[step].z) == 2 for step in range(10))  # the rounds of chunks 0, 0 and 1, 1 and 2

    writer.validation()  # goes on
    with pytest.raises(ValueError, match="has chunk=4 and views=2, not chunk=6 and views=2"):
        replace(writer, settings=replace(writer.settings, chunk=6)).validation()


def test_a_pool_older_than_its_record_has_the_defaults(directory: Path):
    assert pool_settings(directory) == PoolSettings()


def test_a_step_misses_the_first_chunk_of_its_round_that_is_not_written(directory: Path, tmp_path: Path):
    scenes, second_round = pool(tmp_path), CHUNK // SIZE
    shutil.copy(chunk_file(directory, 0), tmp_path)
    assert scenes.missing(second_round - 1) is None
    assert scenes.missing(second_round) == f"{chunk_file(tmp_path, 1)}; is `cache-scenes` running?"
    shutil.move(chunk_file(tmp_path, 0), chunk_file(tmp_path, 1))  # of several writers one may be behind
    assert scenes.missing(second_round) == f"{chunk_file(tmp_path, 0)}; is `cache-scenes` running?"


def test_cells_go_to_whoever_has_most_of_them():
    owner = np.zeros((16, 16), np.uint8)
    owner[:8, :5] = 1
    owner[:8, 5:8] = 2
    owner[8, 8:] = 2  # an eighth of a cell
    assert cells(owner, 2).tolist() == [[1, 0], [0, 0]]


def test_things_are_found_among_the_tokens():
    tokenizer = Tokenizer.load(TOKENIZER, 32)
    text = "a red fire truck and a cat"
    places = thing_tokens(Caption(text, ((6, 16), (23, 26))), tokenizer)
    pieces = ["", *(piece.removesuffix("</w>") for piece in tokenizer.tokens(text))]
    assert [pieces[p] for p in places] == ["truck", "cat"]
    assert thing_tokens(Caption("a cat", ((2, 5),)), tokenizer) == [2, -1]
    assert thing_tokens(Caption("cat", ()), tokenizer) == [-1, -1]
    assert thing_tokens(Caption("a " * 40 + "cat", ((80, 83),)), tokenizer) == [-1, -1]
