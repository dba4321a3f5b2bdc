"""The text encoder's training: losses against peers, first embeddings against least squares, a tiny corpus."""

from __future__ import annotations

from copy import copy, deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers.models.clip.modeling_clip import image_text_contrastive_loss

from ldm_core import presets
from ldm_core.data.colours import BACKGROUNDS
from ldm_core.data.corpus import Corpus, Entry, write_index
from ldm_core.evaluation.text import encode_eos, encode_texts, is_right, nearest_names, read_paraphrases
from ldm_core.models.text import FrozenCLIPEmbedder, eos_state
from ldm_core.text.tokenizer import Tokenizer
from ldm_core.training.common.loop import make_accelerator
from ldm_core.training.common.settings import LoopSettings
from ldm_core.training.text import distillation, init, losses
from ldm_core.training.text import task as text
from ldm_core.training.text.batches import (
    Words,
    attribute_labels,
    encode_trimmed,
    fill,
    pair_batch,
    positive_pairs,
)
from ldm_core.training.text.distillation import FrozenEncoder, fit_head, translations
from ldm_core.training.text.teacher import DEFINITION, TeacherCache, meanings

WEIGHTS = Path(__file__).parents[3] / "weights"
NAMES = ("cat", "dog", "red apple", "car", "house", "tree", "moon", "fish")
STYLES = ("noto style", "flat style", "3d style")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load(WEIGHTS / "tokenizer", 32)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    entries = [
        Entry(n, s, n, "", (), "heldout" if i == 7 and s == STYLES[0] else "train")
        for i, n in enumerate(NAMES)
        for s in STYLES
    ]
    drawings = np.random.default_rng(0).integers(256, size=(len(entries), 128, 128, 4), dtype=np.uint8)
    np.save(folder / "drawings.npy", drawings)
    write_index(folder / "index.tsv", entries)
    return Corpus(folder)


def made_up_words(tokenizer: Tokenizer) -> Words:
    tokens = [t.removesuffix("</w>") for t in tokenizer.vocab if t.endswith("</w>") and t[:-4].isalpha() and len(t) > 8]
    texts = list(dict.fromkeys([*NAMES, *sorted(tokens)[:300]]))
    vectors = np.random.default_rng(1).normal(size=(len(texts), 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    lengths = np.array([tokenizer.count(t).tokens for t in texts])
    return Words(texts, vectors, lengths, len(NAMES), 2)


def tiny_settings() -> text.TextTraining:
    loop = LoopSettings(batch=16, lr=1e-3, warmup=0)
    return text.TextTraining(
        tokenizer=str(WEIGHTS / "tokenizer"), loop=loop, vision_width=64, vision_layers=1, pair_every=2, pairs=8
    )


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> text.TextTraining:
    """The same with a tower that takes many steps in a second."""
    tower = replace(tiny_settings().model, width=64, layers=2, heads=2, intermediate=128)
    monkeypatch.setitem(presets.PRESETS, "NARROW", replace(presets.EMOJI_128, name="narrow", text=tower))
    return replace(tiny_settings(), preset="NARROW")


@pytest.fixture(scope="module")
def task(corpus: Corpus, tokenizer: Tokenizer) -> text.TextTask:
    return text.TextTask(tiny_settings(), corpus, made_up_words(tokenizer), make_accelerator("no"))


def test_contrastive_loss_is_transformers_own_where_captions_differ():
    g = torch.Generator().manual_seed(0)
    a, b, scale = torch.randn(6, 16, generator=g), torch.randn(6, 16, generator=g), torch.tensor(2.0)
    unit = [x / x.norm(dim=-1, keepdim=True) for x in (a, b)]
    expected = image_text_contrastive_loss(scale.exp() * unit[0] @ unit[1].T)
    torch.testing.assert_close(losses.contrastive_loss(a, b, scale, torch.eye(6)), expected)


def test_equal_captions_are_no_negatives():
    labels = ["a", "b", "a"]
    assert positive_pairs(labels).tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    direction = torch.eye(2)[[0, 1, 0]]
    loss = losses.contrastive_loss(direction, direction, torch.tensor(5.0), positive_pairs(labels))
    assert loss.item() == pytest.approx(2 / 3 * np.log(2), abs=1e-4)  # two right answers, evenly: entropy of the target


def test_relation_loss_ignores_shift_scale_and_rotation():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(10, 5, generator=g)
    turn = torch.linalg.qr(torch.randn(5, 5, generator=g)).Q
    assert losses.relation_loss(3.0 * x @ turn + 1.0, x).item() == pytest.approx(0, abs=1e-10)
    assert losses.relation_loss(torch.randn(10, 5, generator=g), x).item() > 0.05


def test_first_embeddings_are_the_ridge_solution(tokenizer: Tokenizer):
    texts = ["cat", "dog", "cat dog", "red apple", "apple"]
    ids, g = tokenizer.encode(texts), torch.Generator().manual_seed(0)
    target, weights = torch.randn(len(texts), 3, generator=g), torch.tensor([[1.0], [2.0], [1.0], [4.0], [1.0]])
    found = init.fit_tokens(ids, target, weights, tokenizer)
    a = torch.zeros(len(texts), len(tokenizer.vocab))
    for i, row in enumerate(texts):
        for token in tokenizer.tokens(row):
            a[i, tokenizer.vocab[token]] += 1 / tokenizer.count(row).tokens
    used = a.sum(0) > 0
    a = a[:, used]
    expected = torch.linalg.solve(a.T @ (weights * a) + init.RIDGE * torch.eye(a.shape[1]), a.T @ (weights * target))
    torch.testing.assert_close(found[used], expected, rtol=1e-3, atol=1e-4)
    assert not found[~used].any()


def test_pooled_state_is_transformers_own(task: text.TextTask, tokenizer: Tokenizer):
    ids = tokenizer.encode(["cat", "a red apple, noto style"])
    out = task.clip.text_model(input_ids=ids)
    torch.testing.assert_close(eos_state(out.last_hidden_state, ids, tokenizer.eos), out.pooler_output)


def test_states_of_texts_are_those_of_either_tower(task: text.TextTask, tokenizer: Tokenizer):
    """In batches, each text at its own place; the embedded model's tower says the same as the one that was trained."""
    texts = [f"{'a red ' * (k % 3)}{NAMES[k % 8]}" for k in range(300)]
    ids = tokenizer.encode(texts)
    with torch.no_grad():
        hidden = task.clip.text_model(input_ids=ids).last_hidden_state
    expected = eos_state(hidden, ids, tokenizer.eos), hidden[:, 31], hidden.mean(1)
    tower = FrozenCLIPEmbedder(tiny_settings().model)
    tower.transformer.text_model.load_state_dict(task.clip.text_model.state_dict())
    for network in (task.clip.text_model, tower):
        close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-5)
        close(tuple(encode_texts(network, tokenizer, texts, task.clip.device)), expected)
        close(encode_eos(network, tokenizer, texts, task.clip.device), expected[0])


def test_batches_are_functions_of_the_generator(corpus: Corpus, tokenizer: Tokenizer):
    rows_by_concept = text.rows_by_concept(corpus)
    for seed in range(4):
        a, b = (pair_batch(corpus, tokenizer, np.random.default_rng(seed), 8, 64, rows_by_concept) for _ in range(2))
        assert torch.equal(a.ids, b.ids) and torch.equal(a.images, b.images) and a.captions == b.captions
        assert a.images.shape == (8, 3, 64, 64) and a.images.min() >= -1 and a.images.max() <= 1
        assert not set(a.rows.tolist()) & set(corpus.heldout.tolist())


def test_short_batches_hold_every_token(tokenizer: Tokenizer):
    texts = ["cat", "a red apple, noto style"]
    ids = encode_trimmed(tokenizer, texts, np.random.default_rng(0), whole=0.0)
    whole = tokenizer.encode(texts)
    assert torch.equal(ids, whole[:, : ids.shape[1]])
    assert (ids[:, -1] == tokenizer.eos).all()


def test_soft_target_loss_is_zero_for_the_teachers_own_words():
    table = torch.nn.functional.normalize(torch.randn(20, 16, generator=torch.Generator().manual_seed(0)))
    assert losses.soft_target_loss(table[:4], table[:4], table).item() == pytest.approx(0, abs=1e-6)
    assert losses.soft_target_loss(table[4:8], table[:4], table).item() > 1


def test_tower_starts_as_the_mean_of_its_tokens(corpus: Corpus, tokenizer: Tokenizer):
    task = text.TextTask(tiny_settings(), corpus, made_up_words(tokenizer), make_accelerator("no"))
    task.start_from_teacher()
    table = task.clip.text_model.embeddings.token_embedding.weight.detach()
    state = encode_eos(task.clip.text_model, tokenizer, ["cat dog"], task.clip.device)[0]
    tokens = table[[tokenizer.vocab["cat</w>"], tokenizer.vocab["dog</w>"]]]
    bag = torch.nn.functional.layer_norm(tokens, tokens.shape[1:]).mean(0)
    other = torch.nn.functional.layer_norm(table[[tokenizer.vocab["moon</w>"]]], tokens.shape[1:])[0]
    similarity = torch.nn.functional.cosine_similarity
    assert similarity(state, bag, dim=0) > 0.5 > similarity(state, other, dim=0)


def test_training_learns_words(narrow: text.TextTraining, corpus: Corpus, tokenizer: Tokenizer):
    task = text.TextTask(narrow, corpus, made_up_words(tokenizer), make_accelerator("no"))
    task.start_from_teacher()
    first = [task.step(s) for s in range(2)]
    for s in range(2, 80):
        last = task.step(s)
    assert set(first[0]) >= {"train/loss", "train/contrastive", "train/teacher_captions"}
    assert float(last["train/teacher"]) < 0.6 * float(first[1]["train/teacher"])


def test_words_are_learnt_while_captions_stay(narrow: text.TextTraining, corpus: Corpus, tokenizer: Tokenizer):
    words = made_up_words(tokenizer)
    captions, texts = (tokenizer.encode(t) for t in ([f"a {name}, {STYLES[0]}" for name in NAMES], words.texts[8:]))
    target, moved = torch.from_numpy(words.vectors[8:]), {}
    for keep in (100.0, 1e-9):
        settings = replace(narrow, keep=keep, place=1.0, translate=0.0)
        task = text.TextTask(settings, corpus, words, make_accelerator("no"))
        task.frozen = frozen = FrozenEncoder(deepcopy(task.clip.text_model), tokenizer, NAMES, words)
        fit_head(task.head, frozen)
        before = float(frozen.neighbour_loss(task.hidden(texts), target))
        logs = [task.step(s) for s in range(40)]
        assert set(logs[0]) >= {"train/kept", "train/look"} and set(logs[1]) >= {"train/place", "train/teacher"}
        assert float(logs[0]["train/kept"]) == pytest.approx(0, abs=1e-6)
        assert float(frozen.neighbour_loss(task.hidden(texts), target)) < 0.8 * before
        moved[keep] = float(
            frozen.distillation_loss(task.clip.text_model(input_ids=captions).last_hidden_state, captions)
        )
    assert moved[100.0] < 0.25 * moved[1e-9]


def test_words_among_concepts_as_the_teacher_has_them_cost_nothing(task: text.TextTask, tokenizer: Tokenizer):
    words = made_up_words(tokenizer)
    frozen = FrozenEncoder(deepcopy(task.clip.text_model), tokenizer, NAMES, words)
    frozen.concept_states = (frozen.meaning, frozen.meaning)
    same_place, target = frozen.meaning[:3], frozen.meaning[:3]
    assert float(frozen.neighbour_loss((same_place, same_place), target)) == pytest.approx(0, abs=1e-5)
    assert float(frozen.neighbour_loss((frozen.meaning[3:6], same_place), target)) > 1


def named(tokenizer: Tokenizer) -> Words:
    """As many made-up words as names, each with nearly the vector of one."""
    words = made_up_words(tokenizer)
    noise = np.random.default_rng(2).normal(scale=0.02, size=(len(NAMES), 384)).astype(np.float32)
    vectors = np.concatenate([words.vectors[: len(NAMES)], words.vectors[: len(NAMES)] + noise])
    return replace(words, texts=words.texts[: len(vectors)], vectors=vectors, lengths=words.lengths[: len(vectors)])


@pytest.mark.slow  # half a minute
def test_words_end_as_the_concepts_end_that_the_teacher_takes_them_for(corpus: Corpus, tokenizer: Tokenizer):
    words, lost = named(tokenizer), {}
    for weight in (0.0, 10.0):
        settings = replace(tiny_settings(), keep=10.0, translate=weight)
        task = text.TextTask(settings, corpus, words, make_accelerator("no"))
        task.frozen = frozen = FrozenEncoder(deepcopy(task.clip.text_model), tokenizer, NAMES, words)
        task.translations = translations(words, corpus)
        assert task.translations == [
            *zip(words.texts[len(NAMES) :], NAMES, strict=True),
            *((n, n) for n in sorted(NAMES)),
        ]
        fit_head(task.head, frozen)
        assert all("train/translate" in task.step(s) for s in range(1, 80, 2))
        said, meant = (tokenizer.encode([pair[i] for pair in task.translations]) for i in (0, 1))
        now = task.clip.text_model(input_ids=said).last_hidden_state
        lost[weight] = float(frozen.translation_loss(now, said, meant))
    assert lost[10.0] < 0.5 * lost[0.0]


def test_nobody_is_drawn_as_a_thing(corpus: Corpus, tokenizer: Tokenizer):
    words = named(tokenizer)
    someone, other = words.texts[len(NAMES)], words.texts[len(NAMES) + 1]
    assert dict(translations(words, corpus))[someone] == NAMES[0]
    left = dict(translations(replace(words, people=frozenset({someone})), corpus))
    assert someone not in left and left[other] == NAMES[1]
    toned = copy(corpus)
    toned.entries = [replace(e, tone="dark") if e.concept == NAMES[0] else e for e in corpus.entries]
    assert dict(translations(replace(words, people=frozenset({someone})), toned))[someone] == NAMES[0]


def test_ends_and_what_comes_after_both_texts_are_translated(task: text.TextTask, tokenizer: Tokenizer):
    frozen = FrozenEncoder(deepcopy(task.clip.text_model), tokenizer, NAMES, made_up_words(tokenizer))
    said, meant = tokenizer.encode(["cat"]), tokenizer.encode(["red apple"])
    goal = frozen.tower(input_ids=meant).last_hidden_state
    states = goal.clone()
    states[:, :2] += 1.0  # start, a word; the shorter text ends at 2, the longer at 3
    states[:, 2] = goal[:, 3]
    assert float(frozen.translation_loss(states, said, meant)) == 0
    states[:, 2] += 1.0
    assert float(frozen.translation_loss(states, said, meant)) == pytest.approx(1 / float(goal.var()))
    states[:, 2] -= 1.0
    states[:, 3] += 1.0
    assert float(frozen.translation_loss(states, said, meant)) == pytest.approx(1 / 29 / float(goal.var()))


def test_the_head_is_the_least_squares_map(task: text.TextTask, tokenizer: Tokenizer):
    frozen = FrozenEncoder(deepcopy(task.clip.text_model), tokenizer, NAMES, made_up_words(tokenizer))
    head = torch.nn.Linear(256, 384)
    fit_head(head, frozen)
    x, y = torch.cat(frozen.concept_states), frozen.meaning.repeat(2, 1)
    centred = x - x.mean(0)
    ridge = (distillation.RIDGE * centred.square().sum() / 256).sqrt() * torch.eye(256)
    a, b = torch.cat([centred, ridge]).double(), torch.cat([y - y.mean(0), torch.zeros(256, 384)]).double()
    expected = centred.double() @ torch.linalg.lstsq(a, b).solution + y.mean(0)
    torch.testing.assert_close(head(x).detach().double(), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("frame", "name", "many", "said"),
    [
        ("{}, noto style", "gelato", False, "gelato, noto style"),
        ("a {}, noto style", "gelato", False, "a gelato, noto style"),
        ("a {} on a teal background", "apple", False, "an apple on a teal background"),
        ("a {} on a teal background", "apples", True, "apples on a teal background"),
        ("a {}, 3d style", "flag of japan", False, "the flag of japan, 3d style"),
    ],
)
def test_a_caption_is_filled_with_a_name(frame: str, name: str, many: bool, said: str):
    assert fill(frame, name, many) == said


def test_captions_of_a_word_and_of_its_concept_differ_in_the_name_alone(
    corpus: Corpus, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
):
    task = text.TextTask(replace(tiny_settings(), keep=1.0), corpus, made_up_words(tokenizer), make_accelerator("no"))
    frozen = FrozenEncoder(deepcopy(task.clip.text_model), tokenizer, NAMES, task.words)
    task.translations = [("ocelot", "cat")]
    read: list[str] = []

    def encode(_: Tokenizer, texts: list[str], *_args: object, **_options: object) -> torch.Tensor:
        read.extend(texts)
        return tokenizer.encode(texts)

    monkeypatch.setattr(text, "encode_trimmed", encode)
    found = set()
    for seed in range(8):
        read.clear()
        task._translation_loss(frozen, np.random.default_rng(seed))
        for said, meant in zip(read[:16], read[16:], strict=True):
            one, many = (meant.replace("a cat", n).replace("cat", n.split()[-1]) for n in ("an ocelot", "ocelots"))
            assert said in (one, many)
            found.add((said == many, meant.startswith("a cat")))
    assert len(found) == 4


def test_looks_reads_grounds_wherever_they_stand(corpus: Corpus):
    attributes = attribute_labels(corpus)
    teal = list(BACKGROUNDS).index("teal")
    for said in (
        "cat on a teal background, noto style",
        "cat, noto style, teal background",
        "cat, on a teal background",
    ):
        assert attributes(said)[1] == teal
    assert attributes("tealish backgrounds, noto style")[1] == -1


def test_nearest_and_right_names():
    assert nearest_names(["cat", "dog"], torch.tensor([[0.9, 0.2]]), torch.eye(2)) == ["cat"]
    assert is_right("cat face", ("cat",)) and is_right("health worker", ("health worker",))
    assert not is_right("caterpillar", ("cat",))


def test_paraphrases_are_single_unseen_words():
    rows = read_paraphrases()
    assert len({word for word, _ in rows}) == len(rows) == 100
    assert not {word for word, _ in rows} & {r for _, right in rows for r in right}
    assert not {word for word, _ in rows} & set(BACKGROUNDS)


def test_teacher_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    def embed(texts: list[str]) -> np.ndarray:
        asked.extend(texts)
        return np.stack([np.eye(384, dtype=np.float16)[len(t)] for t in texts])

    monkeypatch.setattr("ldm_core.training.text.teacher.embed", embed)
    first = TeacherCache(tmp_path)(["a", "bb", "a"])
    again = TeacherCache(tmp_path)(["bb", "ccc"])
    assert asked == ["a", "bb", "ccc"]
    assert first.argmax(1).tolist() == [1, 2, 1] and again.argmax(1).tolist() == [2, 3]
    both = meanings(["a", "bb"], {"bb": "ccc"}, TeacherCache(tmp_path))
    said = [len("a drawing of an a"), len("a drawing of a bb")]
    assert np.allclose(np.linalg.norm(both, axis=1), 1) and both[0, said[0]] == 1
    assert both[1, 3] == pytest.approx(DEFINITION * both[1, said[1]]) and both[1, 3] > 0
