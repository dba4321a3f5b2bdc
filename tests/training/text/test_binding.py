"""Attribute binding: captions say what their slots say; a short run binds and leaves single drawings as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ldm_core.data.captions import read_synonyms
from ldm_core.data.corpus import Corpus, Entry, write_index
from ldm_core.data.english import plural
from ldm_core.data.scenes.structure import Box, Scene, Thing, is_trained
from ldm_core.data.scenes.things import thing_of
from ldm_core.text.tokenizer import Tokenizer
from ldm_core.training.common.loop import make_accelerator
from ldm_core.training.common.settings import LoopSettings
from ldm_core.training.text import binding
from ldm_core.training.text.binding_captions import (
    NUMBERS,
    SlotCaption,
    draw_caption,
    draw_scene,
    other_words,
    swapped,
)
from ldm_core.training.text.binding_evaluation import read_share, slot_columns
from ldm_core.training.text.task import TOWER

WEIGHTS = Path(__file__).parents[3] / "weights"
NAMES = ("cat", "dog", "rocket", "hot air balloon", "flag of japan", "building with a flag", "waving hand")
OTHERS = ("penguin suit", "lantern", "cherry", "fox")
STYLES = ("noto style", "flat style", "3d style", "fx style", "blob style")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load(WEIGHTS / "tokenizer", 32)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    entries = [Entry(n, s, n, "", (), "train") for n in NAMES for s in STYLES]
    np.save(folder / "drawings.npy", np.zeros((len(entries), 8, 8, 4), np.uint8))
    write_index(folder / "index.tsv", entries)
    return Corpus(folder)


def draw(rng: np.random.Generator) -> SlotCaption:
    return draw_caption(rng, STYLES, OTHERS)


def test_other_words_are_short_names_synonyms_and_whole_tokens(corpus: Corpus):
    others = other_words(corpus, read_synonyms(), ["lantern</w>", "lan", "a</w>"])
    assert {"lantern", "flag of japan", "hot air balloon"} <= set(others)
    assert not {"lan", "a", "building with a flag"} & set(others)


def test_slots_say_what_the_words_before_them_say():
    rng, roles = np.random.default_rng(0), set()
    for _ in range(2000):
        caption = draw(rng)
        for i, slot in enumerate(caption.slots):
            said, last = caption.text[: slot.end], caption.text[: slot.end].split()[-1]
            assert slot.end == len(caption.text) or not caption.text[slot.end].isalpha()
            roles.add(slot.role)
            if slot.role == "ground":
                assert said.endswith(f"{slot.colour} background")
            elif last in ("of", "above", "over", "below", "under"):  # where the first thing is
                assert i == 1 and replace(slot, end=0, role="first") == replace(caption.slots[0], end=0)
                assert slot.role in said or last in {"above": ("over",), "below": ("under",)}[slot.role]
            else:
                words = [slot.thing] if slot.thing in OTHERS else list(thing_of(slot.thing).words)
                nouns = words if slot.number == "one" else [plural(w) for w in words]
                said_all = [n if slot.colour == "unnamed" else f"{slot.colour} {n}" for n in nouns]
                numbers = (slot.number, str(NUMBERS.index(slot.number) + 1))
                if slot.number != "one":
                    said_all = [f"{number} {n}" for number in numbers for n in said_all]
                assert said.endswith(tuple(said_all)), (caption, slot)
    assert roles == set(binding.CHOICES["role"])


def test_training_never_sees_a_held_out_combination():
    rng = np.random.default_rng(1)
    assert all(is_trained(draw_scene(rng, STYLES)) for _ in range(3000))
    assert not any(is_trained(draw_scene(rng, STYLES, trained=False)) for _ in range(300))


def test_a_swap_exchanges_colours_or_else_places():
    box = (Box(0, 0, 1, 1),)
    red, blue = Thing("car", 0, box, "red"), Thing("star", 0, box, "blue")
    scene = Scene("attribution", (red, blue), STYLES[0])
    assert [(t.name, t.colour) for t in swapped(scene).things] == [("car", "blue"), ("star", "red")]
    places = Scene("position", (Thing("dog", 0, box), Thing("rocket", 0, box)), STYLES[0], "white", "left")
    assert [t.name for t in swapped(places).things] == ["rocket", "dog"]


def test_columns_are_the_slots_last_tokens(tokenizer: Tokenizer):
    rng = np.random.default_rng(2)
    captions = [draw(rng) for _ in range(200)]
    ids = tokenizer.encode([c.text for c in captions])
    rows, columns = slot_columns(captions, tokenizer)
    ends = [c.text[: s.end] for c in captions for s in c.slots]
    for row, column, text in zip(rows.tolist(), columns.tolist(), ends, strict=True):
        alone = tokenizer.encode([text])[0]
        assert alone[: column + 1].tolist() == ids[row, : column + 1].tolist() and alone[column + 1] == tokenizer.eos


@pytest.fixture(scope="module")
def unbound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped weights, whose states are bound already, with the text tower's layers drawn anew."""
    path = tmp_path_factory.mktemp("unbound") / "weights.safetensors"
    with safe_open(str(WEIGHTS / "emoji-128.safetensors"), framework="pt") as file:
        tensors, metadata = {k: file.get_tensor(k) for k in file.keys()}, file.metadata()  # noqa: SIM118
    g = torch.Generator().manual_seed(0)
    for name, tensor in tensors.items():
        if name.startswith(TOWER) and ".layers." in name and tensor.ndim == 2:
            tensors[name] = (torch.randn(tensor.shape, generator=g) * tensor.float().std()).to(tensor.dtype)
    save_file(tensors, path, metadata)
    return path


@pytest.mark.slow
def test_a_short_run_binds_and_keeps_single_drawings(corpus: Corpus, unbound: Path):
    tokenizer = str(WEIGHTS / "tokenizer")
    settings = binding.BindingTraining(tokenizer=tokenizer, loop=LoopSettings(batch=64, lr=1e-3, ema_decay=0.9))
    task = binding.BindingTask(settings, corpus, unbound, make_accelerator("no", "cpu"))
    before = read_share(task.frozen, task.tokenizer, STYLES, 100)
    for step in range(40):
        found = task.step(step)
    after = read_share(task.clip.text_model, task.tokenizer, STYLES, 100)
    assert after["colour"] > before["colour"] + 0.05 and after["role"] > before["role"]
    assert float(found["train/kept"]) / settings.keep_weight < 0.1  # of the states' variance
