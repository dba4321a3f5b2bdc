"""Attribute binding: captions say what their slots say; a short run binds and leaves single drawings as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ldm_core.data.captions import read_synonyms
from ldm_core.data.corpus import Corpus, Entry, write_index
from ldm_core.tokenizer import Tokenizer
from ldm_core.training import binding
from ldm_core.training.binding_captions import (
    NUMBERS,
    Composer,
    Noun,
    composable,
    held_out,
    is_held_out,
    nouns_of,
    other_words,
    swapped,
)
from ldm_core.training.binding_evaluation import fit, read_share, slot_columns
from ldm_core.training.loop import make_accelerator
from ldm_core.training.settings import LoopSettings
from ldm_core.training.text import TextTraining
from ldm_core.training.text_batches import plural

WEIGHTS = Path(__file__).parents[2] / "weights"
THINGS = ("cat", "dog", "rocket", "hot air balloon", "cherry", "star", "fox", "carrot")
STYLES = ("noto style", "flat style", "3d style", "fx style", "blob style")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load(WEIGHTS / "tokenizer", 32)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    named = [*THINGS, "flag of japan", "cat face", "waving hand"]
    entries = [Entry(n, s, n, "dark" if n == "waving hand" else "", (), "train") for n in named for s in STYLES]
    np.save(folder / "drawings.npy", np.zeros((len(entries), 8, 8, 4), np.uint8))
    write_index(folder / "index.tsv", entries)
    return Corpus(folder)


@pytest.fixture(scope="module")
def composer(corpus: Corpus) -> Composer:
    return Composer(composable(corpus), ["penguin"], STYLES)


def test_composable_things_are_plain_nouns_of_many_styles(corpus: Corpus):
    assert composable(corpus) == sorted(THINGS)
    others = other_words(corpus, read_synonyms(), ["lantern</w>", "lan", "a</w>"])
    assert "lantern" in others and "lan" not in others and "a" not in others and "flag of japan" in others


def test_slots_say_what_the_words_before_them_say(composer: Composer):
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(2000):
        caption = composer.draw(rng)
        for i, slot in enumerate(caption.slots):
            said = caption.text[: slot.end]
            assert slot.end == len(caption.text) or not caption.text[slot.end].isalpha()
            if slot.role == "ground":
                assert said.endswith(f"{slot.colour} background")
            elif i == 1 and caption.slots[2:] and caption.slots[2].role != "ground":
                assert slot.thing == caption.slots[0].thing  # the relation's last word tells where the first thing is
                assert any(said.endswith(word) for word in (slot.role, "of", "over", "under"))
            else:
                name = slot.thing if slot.number == "one" else plural(slot.thing)
                coloured = name if slot.colour == "unnamed" else f"{slot.colour} {name}"
                numbers = (slot.number, str(NUMBERS.index(slot.number) + 1))
                assert said.endswith(coloured if slot.number == "one" else tuple(f"{n} {coloured}" for n in numbers))
            kinds.add(slot.role)
    assert kinds == set(binding.CHOICES["role"])


def test_training_never_sees_a_held_out_combination(composer: Composer):
    rng = np.random.default_rng(1)
    assert not any(is_held_out(nouns_of(composer.draw(rng))[0]) for _ in range(3000))
    assert all(is_held_out(nouns_of(composer.draw(rng, held=True))[0]) for _ in range(100))
    assert held_out("red", "cat") == held_out("cat", "red")


def test_a_swap_exchanges_colours_or_else_places():
    red, blue = Noun("car", "red"), Noun("star", "blue")
    assert swapped([red, blue]) == [Noun("car", "blue"), Noun("star", "red")]
    assert swapped([Noun("dog"), Noun("rocket")]) == [Noun("rocket"), Noun("dog")]


def test_columns_are_the_slots_last_tokens(composer: Composer, tokenizer: Tokenizer):
    rng = np.random.default_rng(2)
    captions = [composer.draw(rng) for _ in range(200)]
    ids = tokenizer.encode([c.text for c in captions])
    rows, columns = slot_columns(captions, tokenizer)
    ends = [c.text[: s.end] for c in captions for s in c.slots]
    for row, column, text in zip(rows.tolist(), columns.tolist(), ends, strict=True):
        alone = tokenizer.encode([text])[0]
        assert alone[: column + 1].tolist() == ids[row, : column + 1].tolist() and alone[column + 1] == tokenizer.eos


def test_linear_heads_read_what_is_linear_and_nothing_of_noise():
    g = torch.Generator().manual_seed(0)
    wanted = torch.randint(5, (2000,), generator=g)
    noise = torch.randn(2000, 16, generator=g)
    states = noise + 8 * torch.nn.functional.one_hot(wanted, 16)
    assert (fit(states[:1500], wanted[:1500], 5)(states[1500:]).argmax(1) == wanted[1500:]).float().mean() > 0.99
    assert (fit(noise[:1500], wanted[:1500], 5)(noise[1500:]).argmax(1) == wanted[1500:]).float().mean() < 0.35


@pytest.mark.slow
def test_a_short_run_binds_and_keeps_single_drawings(corpus: Corpus):
    text = TextTraining(tokenizer=str(WEIGHTS / "tokenizer"), vision_width=64, vision_layers=1)
    settings = binding.BindingTraining(text=text, loop=LoopSettings(batch=64, lr=1e-3, ema_decay=0.9))
    task = binding.BindingTask(settings, corpus, WEIGHTS / "emoji-128.safetensors", make_accelerator("no", "cpu"))
    task.composer = Composer(task.composer.things, task.composer.things, STYLES)
    before = read_share(task.frozen, task.tokenizer, task.composer, 100)
    for step in range(40):
        found = task.step(step)
    after = read_share(task.clip.text_model, task.tokenizer, task.composer, 100)
    assert after["colour"] > before["colour"] + 0.1 and after["role"] > before["role"]
    assert float(found["train/kept"]) / settings.keep < 0.1  # of the states' variance
