"""Our tokenizer against transformers' own on the same files, and against SD v1's published ids."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from ldm_core.presets import EMOJI_128, SD_V1
from ldm_core.text.tokenizer import BOS, EOS, Tokenizer

Pair = tuple[Tokenizer, CLIPTokenizer, int]
WEIGHTS = Path(__file__).parents[2] / "weights"
FOLDERS = {"clip-tokenizer": SD_V1.text, "tokenizer": EMOJI_128.text}
TEXTS = [
    "",
    "a photo of a cat",
    "A Photo  of a CAT's\tnaïve café!! 3.14, don't",
    "red apple, noto style, medium-dark skin tone, on a teal background",
    "日本語 and 👩🏽‍🚀 and \u0000 bytes",
    "an astronaut riding a horse " * 20,
]


@pytest.fixture(scope="module", params=FOLDERS)
def pair(request: pytest.FixtureRequest) -> Pair:
    folder, config = WEIGHTS / request.param, FOLDERS[request.param]
    assert config is not None
    peer = CLIPTokenizer.from_pretrained(folder, model_max_length=config.text_len, local_files_only=True)
    return Tokenizer.load(folder, config.text_len), peer, config.text_len


def peer_ids(peer: CLIPTokenizer, texts: list[str], length: int) -> torch.Tensor:
    return peer(texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt").input_ids


def test_same_ids_as_transformers(pair: Pair):
    ours, peer, length = pair
    ids = ours.encode(TEXTS)
    assert ids.dtype == torch.int64 and ids.shape == (len(TEXTS), length)
    assert torch.equal(ids, peer_ids(peer, [ours.clean(text) for text in TEXTS], length))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("a cafÃ© in MÃ¼nchen", "a café in münchen"),
        ("the girlâ€™s hat", "the girl's hat"),
        ("Tom &amp; Jerry", "tom & jerry"),
        ("2 &amp;lt; 3", "2 < 3"),
        ("“a dog’s life”", '"a dog\'s life"'),
        ("ｗｉｄｅ　letters", "wide letters"),
        ("ﬁne ﬂowers", "fine flowers"),
        ("a cat\x1b[31m in red\x00", "a cat in red"),
    ],
)
def test_prompts_are_mended_as_clip_mends_its_own_texts(typed: str, meant: str):
    clip = Tokenizer.load(WEIGHTS / "clip-tokenizer", 77)
    assert clip.tokens(typed) == clip.tokens(meant)
    assert torch.equal(clip.encode([typed]), clip.encode([meant]))
    assert clip.count(typed) == clip.count(meant)
    ours = Tokenizer.load(WEIGHTS / "tokenizer", 32)
    assert ours.clean(typed) == typed, "the embedded model's texts were never mended"


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=200))
def test_same_ids_for_any_text(pair: Pair, text: str):
    """What the peer is given is cleaned before, which transformers 5 no longer does itself."""
    ours, peer, length = pair
    assert torch.equal(ours.encode([text]), peer_ids(peer, [ours.clean(text)], length))


def test_vocabularies_are_the_models_own():
    for folder, config in FOLDERS.items():
        tokenizer = Tokenizer.load(WEIGHTS / folder, config.text_len)
        assert len(tokenizer.vocab) == config.vocab
        assert sorted(tokenizer.vocab.values()) == list(range(config.vocab))
        assert (tokenizer.bos, tokenizer.eos) == (config.bos, config.eos)


def test_published_sd_v1_ids():
    ids = Tokenizer.load(WEIGHTS / "clip-tokenizer", 77).encode(["a photo of a cat"])[0].tolist()
    assert ids[:7] == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert set(ids[7:]) == {49407}


def test_count_tells_what_is_dropped():
    tokenizer = Tokenizer.load(WEIGHTS / "tokenizer", 32)
    short = tokenizer.count("red apple, noto style")
    assert (short.tokens, short.limit, short.truncated) == (5, 30, "")
    text = "apple " * 30 + "Crème brûlée, noto style"
    long = tokenizer.count(text)
    assert long.tokens > long.limit
    assert long.truncated == "Crème brûlée, noto style"  # spelt as typed
    assert torch.equal(tokenizer.encode([text]), tokenizer.encode([text.removesuffix(long.truncated)]))


def test_full_length_is_not_truncated():
    tokenizer = Tokenizer.load(WEIGHTS / "tokenizer", 32)
    assert tokenizer.count("apple " * 30).truncated == ""
    assert tokenizer.encode(["apple " * 30])[0, -1] == tokenizer.eos


def test_encoding_nothing():
    assert Tokenizer.load(WEIGHTS / "tokenizer", 32).encode([]).shape == (0, 32)


def test_columns_are_those_of_the_tokens_in_which_words_end():
    text = "a red car and a blue zeppelin"
    tokenizer, ends = Tokenizer.load(WEIGHTS / "tokenizer", 32), [9, len(text)]
    for end, column in zip(ends, tokenizer.columns_ending_at(text, ends), strict=True):
        assert tokenizer.encode([text[:end]])[0, column + 1] == tokenizer.eos
        assert tokenizer.encode([text[:end]])[0, column] == tokenizer.encode([text])[0, column] != tokenizer.eos
    assert tokenizer.columns_ending_at(text, [8]) == tokenizer.columns_ending_at(text, [9])  # within a word
    assert Tokenizer.load(WEIGHTS / "tokenizer", 5).columns_ending_at(text, ends) == [3, -1]


def test_too_short_a_length_is_refused():
    with pytest.raises(ValueError, match="length 2"):
        Tokenizer.load(WEIGHTS / "tokenizer", 2)


def test_damaged_files_are_refused(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        Tokenizer.load(tmp_path, 32)
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b</w>\n")
    (tmp_path / "vocab.json").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        Tokenizer.load(tmp_path, 32)
    (tmp_path / "vocab.json").write_text(json.dumps({BOS: 0, EOS: 1}))
    with pytest.raises(ValueError, match="lacks 'ab</w>'"):
        Tokenizer.load(tmp_path, 32)


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt"])
def test_a_vocabulary_that_is_no_file_is_refused(name: str, tmp_path: Path):
    """A FIFO would be waited for without end, /dev/zero read without end, deep JSON overflow the stack."""
    good = {"vocab.json": '{"a": 0}', "merges.txt": "#version: 0.2"}
    for made in ("fifo", "zero", "deep"):
        folder = tmp_path / made
        folder.mkdir()
        for other, content in good.items():
            (folder / other).write_text(content)
        (folder / name).unlink()
        if made == "fifo":
            os.mkfifo(folder / name)
        elif made == "zero":
            (folder / name).symlink_to("/dev/zero")
        else:
            (folder / name).write_text("[" * 100_000)
        with pytest.raises(ValueError, match=r"damaged|does not belong|lacks"):
            Tokenizer.load(folder, 8)
