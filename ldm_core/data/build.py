"""From packages to a corpus folder: fetch, name, render, split, write. Each part is done once; a second call resumes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ldm_core.data.captions import canonical_caption
from ldm_core.data.corpus import SIZE, Entry, write_index
from ldm_core.data.names import Emoji, emoji_by_name, normal, segment, split_tone, without_number, words_of
from ldm_core.data.render import render_all
from ldm_core.data.sources import EMOJIBASE, ICON_SETS, Icon, IconSet, fetch, icons_of, read_json

HELDOUT_SHARE = 0.05
Progress = Callable[[str, int, int], None]  # what, done, of how many


def name_icon(icon: Icon, icons: IconSet, emoji: Mapping[str, Emoji], words: Mapping[str, int]) -> Entry:
    """What one icon shows, in the set's words and in those all sets share."""
    slug, tone = split_tone(icon.slug, icons.bare_tones)
    known = emoji.get(normal(slug))
    name = words_of(slug)
    if icons.unspaced:
        name = known.label if known else without_number(segment(slug, words))
    concept = known.label if known else name
    return Entry(name, icons.style, concept, tone, known.tags if known else (), "train")


def vocabulary(slugs: Sequence[str], emoji: Mapping[str, Emoji]) -> Counter[str]:
    """Words of names and tags with their counts: what unspaced names are spelled with."""
    words: Counter[str] = Counter()
    for slug in slugs:
        words.update(words_of(slug).split())
    for entry in emoji.values():
        for text in (entry.label, *entry.tags):
            words.update(w for w in text.replace("-", " ").split() if w.isalnum())
    short = {"a", "of", "on", "in", "to", "up", "no", "tv", "cd", "or", "ok", "ox", "at"} | set("0123456789")
    return Counter({w: n for w, n in words.items() if len(w) > 2 or w in short})


def split(entries: Sequence[Entry]) -> list[Entry]:
    """Hold out 5 % of the (concept, style) pairs, all their skin tones with them; decided by hash, so it is fixed.

    A pair is held out only where its concept is trained in another style, so that composition can be measured.
    """
    styles: dict[str, set[str]] = {}
    for e in entries:
        styles.setdefault(e.concept, set()).add(e.style)
    eligible = sum(len(s) for s in styles.values() if len(s) > 1)
    threshold = HELDOUT_SHARE * sum(len(s) for s in styles.values()) / max(1, eligible)
    heldout: set[tuple[str, str]] = set()
    for concept, among in styles.items():
        chosen = sorted((_chance(concept, style), style) for style in among)[:-1]  # one style always stays
        heldout |= {(concept, style) for chance, style in chosen if chance < threshold}
    return [replace(e, split="heldout" if (e.concept, e.style) in heldout else "train") for e in entries]


def _chance(concept: str, style: str) -> float:
    digest = hashlib.sha256(f"{concept}|{style}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def build(out: Path, progress: Progress, limit: int | None = None, sets: Sequence[IconSet] = ICON_SETS) -> None:
    """Write the corpus to `out`: drawings.npy, index.tsv, heldout.tsv, captions.txt, counts.json, ATTRIBUTION.md.

    `limit` keeps the first icons of each set. SourceError where a package cannot be had.
    """
    cache, parts = out / "packages", out / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    archives = {}
    for done, package in enumerate([EMOJIBASE, *(s.package for s in sets)]):
        progress("fetching", done, len(sets) + 1)
        archives[package] = fetch(package, cache)
    emoji = emoji_by_name(read_json(archives[EMOJIBASE], "en/data.json"))
    icons = {s: icons_of(read_json(archives[s.package], "icons.json"))[:limit] for s in sets}
    words = vocabulary([i.slug for s in sets if not s.unspaced for i in icons[s]], emoji)

    entries: list[Entry] = []
    counts: dict[str, dict[str, object]] = {}
    for s in sets:
        rendered = _render_set(icons[s], parts / f"{s.package.archive}-{len(icons[s])}.npz", s.style, progress)
        entries += [name_icon(icons[s][k], s, emoji, words) for k in rendered]
        info = read_json(archives[s.package], "info.json")
        counts[s.package.name] = {
            "version": s.package.version,
            "style": s.style,
            "icons": len(icons[s]),
            "rendered": len(rendered),
            "skipped": len(icons[s]) - len(rendered),
            "author": info["author"]["name"],
            "source": info["author"].get("url", ""),
            "licence": info["license"]["spdx"],
        }
    entries = split(entries)
    _join(parts, [f"{s.package.archive}-{len(icons[s])}.npz" for s in sets], out / "drawings.npy")
    _write_texts(out, entries, counts)
    shutil.rmtree(parts)


def _render_set(icons: Sequence[Icon], part: Path, style: str, progress: Progress) -> list[int]:
    """Render one set into its part file; which of its icons came out."""
    if not part.exists():
        kept: list[int] = []
        drawings = []
        done = 0
        for chunk in render_all([i.svg for i in icons]):
            for k, drawing in enumerate(chunk):
                if drawing is not None and drawing[..., 3].any():
                    kept.append(done + k)
                    drawings.append(drawing)
            done += len(chunk)
            progress(f"rendering {style}", done, len(icons))
        temporary = part.with_suffix(".tmp.npz")
        np.savez(temporary, kept=np.array(kept), drawings=np.array(drawings, np.uint8).reshape(-1, SIZE, SIZE, 4))
        os.replace(temporary, part)
    with np.load(part) as file:
        return [int(k) for k in file["kept"]]


def _join(parts: Path, names: Sequence[str], target: Path) -> None:
    sizes = []
    for name in names:
        with np.load(parts / name) as file:
            sizes.append(len(file["kept"]))
    temporary = target.with_suffix(".tmp.npy")
    whole = np.lib.format.open_memmap(temporary, "w+", np.uint8, (sum(sizes), SIZE, SIZE, 4))
    row = 0
    for name, size in zip(names, sizes, strict=True):
        with np.load(parts / name) as file:
            whole[row : row + size] = file["drawings"]
        row += size
    whole.flush()
    os.replace(temporary, target)


def _write_texts(out: Path, entries: list[Entry], counts: dict[str, dict[str, object]]) -> None:
    heldout = sorted({(e.concept, e.style) for e in entries if e.split == "heldout"})
    (out / "heldout.tsv").write_text("concept\tstyle\n" + "".join(f"{c}\t{s}\n" for c, s in heldout))
    captions = {canonical_caption(e) for e in entries} | {", ".join(e.tags) for e in entries if e.tags}
    captions |= {e.concept for e in entries}
    (out / "captions.txt").write_text("\n".join(sorted(captions)) + "\n")
    (out / "counts.json").write_text(json.dumps(counts, indent=1) + "\n")
    lines = ["# The drawings and who made them", ""]
    for name, c in counts.items():
        lines.append(f"- **{name}** {c['version']} ({c['style']}): {c['author']}, {c['licence']}, {c['source']}; "
                     f"{c['rendered']} drawings, rendered at {SIZE} px.")  # fmt: skip
    lines.append("- **emojibase-data** (labels and tags): Miles Johnson, MIT.")
    (out / "ATTRIBUTION.md").write_text("\n".join(lines) + "\n")
    write_index(out / "index.tsv", entries)  # last: its presence says that the corpus is whole
