"""The whole way from archives to a corpus, on hand-made sets: content, resuming, verification, what cannot be drawn."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import resvg_py

sys.path.insert(0, str(Path(__file__).parent))
from small_sets import COLOURS, disc, pack, pack_emojibase, pack_set

from ldm_core.data import build as building
from ldm_core.data import render as rendering
from ldm_core.data.build import build
from ldm_core.data.colours import BACKGROUNDS
from ldm_core.data.corpus import Corpus
from ldm_core.data.sources import IconSet, Package, SourceError, fetch


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[IconSet]:
    """Two sets whose archives lie in the corpus folder tmp_path/corpus already."""
    cache = tmp_path / "corpus" / "packages"
    monkeypatch.setattr(building, "EMOJIBASE", pack_emojibase(cache))
    one = {
        "red-apple": disc(COLOURS["red"]),
        "green-apple": disc(COLOURS["green"]),
        "wave": disc("#fc6"),
        "wave-dark-skin-tone": disc("#643"),
        "broken": "<circle",
        "empty": "",
    }
    two = {"redapple": disc(COLOURS["red"], 30), "flag-chile": disc("#fff"), "sphere": disc(COLOURS["blue"], 20)}
    return [
        pack_set(cache, "one", one, aliases={"hello": "wave"}),
        pack_set(cache, "two", two, unspaced=True, chars={"1f535": "sphere"}),
    ]


def silent(what: str, done: int, total: int) -> None:
    """A progress nobody watches."""


def test_corpus_holds_what_was_drawn(tmp_path: Path, sets: list[IconSet]) -> None:
    build(tmp_path / "corpus", silent, sets=sets)
    corpus = Corpus(tmp_path / "corpus")
    said = [(e.name, e.style, e.concept, e.tone) for e in corpus.entries]
    assert said == [
        ("red apple", "one style", "red apple", ""),
        ("green apple", "one style", "green apple", ""),
        ("wave", "one style", "waving hand", ""),  # by its shortcode
        ("wave", "one style", "waving hand", "dark"),
        ("red apple", "two style", "red apple", ""),
        ("flag of chile", "two style", "flag of chile", ""),
        ("blue circle", "two style", "blue circle", ""),  # by its code point
    ]
    assert corpus.entries[0].tags == ("apple", "fruit", "red")
    assert corpus.entries[5].tags == ()  # neither a country code nor "flag"
    apple = corpus.drawing(0)
    assert apple.shape == (128, 128, 4)
    assert apple.dtype == np.uint8
    np.testing.assert_array_equal(apple[64, 64], (0xD6, 0x30, 0x31, 255))
    np.testing.assert_array_equal(apple[2, 2], (0, 0, 0, 0))
    ink = (apple[..., 3] / 255).sum() / 128**2
    assert ink == pytest.approx(np.pi * 0.4**2, rel=0.01)  # a disc of 40 of 100


def test_counts_licences_and_captions_lie_beside_it(tmp_path: Path, sets: list[IconSet]) -> None:
    out = tmp_path / "corpus"
    build(out, silent, sets=sets)
    counts = json.loads((out / "counts.json").read_text())
    one = counts["sets"]["@hand-made/one"]
    assert (one["icons"], one["rendered"], one["skipped"], one["aliases"]) == (6, 4, 2, 1)
    assert one["licence"] == "MIT"
    assert counts["corpus"]["drawings"] == 7
    assert counts["corpus"]["concepts"] == 5
    attribution = (out / "ATTRIBUTION.md").read_text()
    assert "the one people" in attribution
    assert "the two people" in attribution
    captions = (out / "captions.txt").read_text().splitlines()
    assert {"red apple, one style", "waving hand, dark skin tone, one style", "apple, fruit, red"} <= set(captions)
    assert captions == sorted(set(captions))


def test_interrupted_build_is_taken_up(tmp_path: Path, sets: list[IconSet]) -> None:
    out, seen = tmp_path / "corpus", []

    def pull_the_plug(what: str, done: int, total: int) -> None:
        if what == "rendering two style":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(out, pull_the_plug, sets=sets)
    with pytest.raises(ValueError, match="data emoji"):
        Corpus(out)  # nothing half-made looks whole
    build(out, lambda what, done, total: seen.append(what), sets=sets)
    assert "rendering one style" not in seen
    assert "rendering two style" in seen
    assert len(Corpus(out)) == 7
    assert not list(out.rglob(".*"))


def test_repeated_build_renders_nothing_and_changes_nothing(tmp_path: Path, sets: list[IconSet]) -> None:
    out, seen = tmp_path / "corpus", []
    build(out, silent, sets=sets)
    before = {p.name: p.read_bytes() for p in out.iterdir() if p.is_file()}
    build(out, lambda what, done, total: seen.append(what), sets=sets)
    assert not [what for what in seen if what.startswith("rendering")]
    assert {p.name: p.read_bytes() for p in out.iterdir() if p.is_file()} == before


def test_limit_and_then_the_whole(tmp_path: Path, sets: list[IconSet]) -> None:
    out = tmp_path / "corpus"
    build(out, silent, limit=1, sets=sets)
    assert [e.concept for e in Corpus(out).entries] == ["red apple", "red apple"]
    build(out, silent, sets=sets)
    assert len(Corpus(out)) == len(Corpus(out).drawings) == 7


def test_changed_archive_is_refused_in_one_sentence(tmp_path: Path, sets: list[IconSet]) -> None:
    archive = tmp_path / "corpus" / "packages" / sets[0].package.archive
    archive.write_bytes(archive.read_bytes()[:-1] + b"x")
    with pytest.raises(SourceError, match=r"is not the pinned @hand-made/one@1\.0\.0; delete it") as caught:
        build(tmp_path / "corpus", silent, sets=sets)
    assert "\n" not in str(caught.value)


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the npm client on the PATH: it copies from the folder returned, and fails where that lacks it."""
    shelf, programs = tmp_path / "shelf", tmp_path / "bin"
    programs.mkdir()
    script = f'#!/bin/sh\nname=$(echo "$5" | sed "s/@1.0.0$//; s/^@//; s,/,-,")\ncp {shelf}/$name-1.0.0.tgz "$4"/\n'
    (programs / "npm").write_text(script)
    (programs / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return shelf


def test_fetch_asks_npm_once(tmp_path: Path, npm: Path) -> None:
    package = pack(npm, "@hand-made/three", {"info.json": {}})
    archive = fetch(package, tmp_path / "cache")
    shutil.rmtree(npm)
    assert fetch(package, tmp_path / "cache") == archive
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["hand-made-three-1.0.0.tgz"]


def test_fetch_keeps_nothing_that_is_not_the_pinned_one(tmp_path: Path, npm: Path) -> None:
    package = pack(npm, "@hand-made/three", {"info.json": {}})
    with pytest.raises(SourceError, match="not the pinned"):
        fetch(replace(package, integrity="sha512-other"), tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_fetch_says_what_failed(tmp_path: Path, npm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match=r"npm could not fetch @hand-made/none@1\.0\.0"):
        fetch(Package("@hand-made/none", "1.0.0", "sha512-"), tmp_path / "cache")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SourceError, match="npm client is needed"):
        fetch(Package("@hand-made/none", "1.0.0", "sha512-"), tmp_path / "cache")


def test_drawing_that_kills_its_process_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = resvg_py.svg_to_bytes

    def fragile(svg_string: str, **size: int) -> object:
        if "abort" in svg_string:
            os._exit(1)
        return whole(svg_string=svg_string, **size)

    monkeypatch.setattr(resvg_py, "svg_to_bytes", fragile)  # worker processes are forks of this one
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">'
    svgs = [f"{head}{disc(colour)}</svg>" for colour in ("#f00", "#0f0", "abort", "#00f", "#ff0", "abort", "#0ff")]
    drawn = [drawing for chunk in rendering.render_all(svgs, chunk=2) for drawing in chunk]
    assert [drawing is not None for drawing in drawn] == [True, True, False, True, True, False, True]
    assert drawn[3] is not None
    np.testing.assert_array_equal(drawn[3][64, 64], (0, 0, 255, 255))


def test_too_large_a_drawing_is_skipped() -> None:
    assert rendering.render("<svg>" + " " * rendering.LARGEST_SVG + "</svg>") is None


def test_backgrounds_are_a_dozen_distinct_colours() -> None:
    assert len(set(BACKGROUNDS.values())) == len(BACKGROUNDS) == 12
