"""From packages to a corpus folder: fetch, render, name, split, write. What is already there is not done again."""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ldm_core.data.captions import canonical_caption
from ldm_core.data.corpus import SIZE, Entry, write_index
from ldm_core.data.emoji import EmojiTable, Namer, read_corrections
from ldm_core.data.render import render_all
from ldm_core.data.sources import EMOJIBASE, ICON_SETS, SHORTCODES, Icon, IconSet, fetch, icons_of, read_json
from ldm_core.data.split import split
from ldm_core.files import replacing

Progress = Callable[[str, int, int], None]  # what, done, of how many
Kept = dict[str, list[int]]  # part file → which of its icons came out


def build(out: Path, progress: Progress, limit: int | None = None, sets: Sequence[IconSet] = ICON_SETS) -> None:
    """Write the corpus to `out`: drawings.npy, index.tsv, heldout.tsv, captions.txt, counts.json, ATTRIBUTION.md.

    `limit` keeps the first icons of each set. An interrupted call is taken up where it stopped; a repeated one renders
    nothing and writes the same texts. SourceError where a package cannot be had, ModuleNotFoundError without the
    renderer.
    """
    importlib.import_module("resvg_py")  # where it is missing, nothing is downloaded first
    cache = out / "packages"
    archives = {}
    for done, package in enumerate([EMOJIBASE, *(s.package for s in sets)]):
        progress("fetching", done, len(sets) + 1)
        archives[package] = fetch(package, cache)
    progress("fetching", len(sets) + 1, len(sets) + 1)
    shortcodes = [read_json(archives[EMOJIBASE], f"en/shortcodes/{name}.json") for name in SHORTCODES]
    table = EmojiTable.read(read_json(archives[EMOJIBASE], "en/data.json"), shortcodes)
    data = {s: read_json(archives[s.package], "icons.json") for s in sets}
    every = {s: icons_of(data[s], read_json(archives[s.package], "chars.json")) for s in sets}
    icons = {s: every[s][:limit] for s in sets}
    kept = draw(out, icons, progress)

    namer = Namer(every, table, read_corrections())
    parts = zip(sets, kept.values(), strict=True)
    named = [namer.entry(icons[s][k], s) for s, rows in parts for k in rows]
    entries = split(named, digests(out / "drawings.npy", progress))
    counts = {
        s.package.name: _facts(s, len(icons[s]), len(rows), data[s], read_json(archives[s.package], "info.json"))
        for s, rows in zip(sets, kept.values(), strict=True)
    }
    write_texts(out, entries, counts)


def draw(out: Path, icons: dict[IconSet, list[Icon]], progress: Progress) -> Kept:
    """drawings.npy with every set's drawings one after the other, unless it is there; which icons are in it."""
    names = [f"{s.package.archive}-{len(icons[s])}.npz" for s in icons]
    target, manifest, parts = out / "drawings.npy", out / "drawings.json", out / "parts"
    if target.exists() and manifest.exists():
        kept: Kept = json.loads(manifest.read_text(encoding="utf-8"))
        if list(kept) == names:
            return kept
    parts.mkdir(parents=True, exist_ok=True)
    kept = {
        name: _render_set(icons[s], parts / name, f"rendering {s.style}", progress)
        for s, name in zip(icons, names, strict=True)
    }
    for stale in (out / "index.tsv", manifest):  # neither may describe drawings that are not there
        stale.unlink(missing_ok=True)
    _join([parts / name for name in names], [len(rows) for rows in kept.values()], target)
    write_whole(manifest, json.dumps(kept) + "\n")
    shutil.rmtree(parts)
    return kept


def _render_set(icons: Sequence[Icon], part: Path, what: str, progress: Progress) -> list[int]:
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
            progress(what, done, len(icons))
        pixels = np.array(drawings, np.uint8).reshape(-1, SIZE, SIZE, 4)
        with replacing(part) as partial, partial.open("wb") as file:  # savez would add its own ending to a name
            np.savez(file, kept=np.array(kept), drawings=pixels)
    with np.load(part) as file:
        return [int(k) for k in file["kept"]]


def _join(parts: Sequence[Path], sizes: Sequence[int], target: Path) -> None:
    with replacing(target) as partial:
        whole = np.lib.format.open_memmap(partial, "w+", np.uint8, (sum(sizes), SIZE, SIZE, 4))
        row = 0
        for part, size in zip(parts, sizes, strict=True):
            with np.load(part) as file:
                whole[row : row + size] = file["drawings"]
            row += size
        whole.flush()


def digests(drawings: Path, progress: Progress) -> list[bytes]:
    """One hash a drawing: equal where the pixels are."""
    whole = np.load(drawings, mmap_mode="r")
    found = []
    for row, drawing in enumerate(whole):
        found.append(hashlib.blake2b(drawing.tobytes(), digest_size=16).digest())
        if row % 1000 == 999 or row == len(whole) - 1:
            progress("comparing", row + 1, len(whole))
    return found


def _facts(icon_set: IconSet, icons: int, rendered: int, data: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": icon_set.package.version,
        "style": icon_set.style,
        "icons": icons,
        "rendered": rendered,
        "skipped": icons - rendered,
        "hidden": sum(bool(icon.get("hidden")) for icon in data["icons"].values()),
        "aliases": len(data.get("aliases", {})),
        "author": info["author"]["name"],
        "source": info["author"].get("url", ""),
        "licence": info["license"]["spdx"],
    }


def write_texts(out: Path, entries: list[Entry], sets: dict[str, dict[str, Any]]) -> None:
    """Everything but the drawings; index.tsv comes last, since its presence says that the corpus is whole."""
    heldout = sorted({(e.concept, e.style) for e in entries if e.split == "heldout"})
    write_whole(out / "heldout.tsv", "concept\tstyle\n" + "".join(f"{c}\t{s}\n" for c, s in heldout))
    captions = {canonical_caption(e) for e in entries} | {", ".join(e.tags) for e in entries if e.tags}
    captions |= {e.concept for e in entries} | {e.name for e in entries}
    write_whole(out / "captions.txt", "\n".join(sorted(captions)) + "\n")
    write_whole(out / "counts.json", json.dumps({"sets": sets, "corpus": totals(entries)}, indent=1) + "\n")
    write_whole(out / "ATTRIBUTION.md", attribution(sets))
    with replacing(out / "index.tsv") as partial:
        write_index(partial, entries)


def totals(entries: Sequence[Entry]) -> dict[str, int]:
    """Counts of the whole: drawings, concepts, pairs, what is held out, toned drawings."""
    pairs = {(e.concept, e.style) for e in entries}
    splits = Counter(e.split for e in entries)
    return {
        "drawings": len(entries),
        "concepts": len({e.concept for e in entries}),
        "names": len({e.name for e in entries}),
        "pairs": len(pairs),
        "pairs_heldout": len({(e.concept, e.style) for e in entries if e.split == "heldout"}),
        "drawings_train": splits["train"],
        "drawings_heldout": splits["heldout"],
        "drawings_in_a_skin_tone": sum(bool(e.tone) for e in entries),
        "drawings_with_tags": sum(bool(e.tags) for e in entries),
    }


def attribution(sets: dict[str, dict[str, Any]]) -> str:
    """Who made what, under which licence."""
    lines = ["# The drawings and who made them", ""]
    for name, c in sets.items():
        lines.append(
            f"- **{name}** {c['version']} ({c['style']}): {c['author']}, {c['licence']}, {c['source']}; "
            f"{c['rendered']} drawings, rendered at {SIZE} px."
        )
    lines.append(f"- **{EMOJIBASE.name}** {EMOJIBASE.version} (labels and tags): Miles Johnson, MIT.")
    return "\n".join(lines) + "\n"


def write_whole(path: Path, text: str) -> None:
    """Write a file that is either the old or the new one, never half of it."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
