"""What the embedded model knows: `python -m scripts.knowledge [CORPUS]` writes weights/emoji-128.knowledge.json.

Names, synonyms and words come from the corpus, emoji and Chinese labels from its emojibase archive, further Chinese
words from ldm_core/data/chinese.tsv.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from ldm_core.data.captions import read_synonyms
from ldm_core.data.colours import BACKGROUNDS
from ldm_core.data.corpus import Entry, read_index
from ldm_core.data.names import plain_label
from ldm_core.data.scenes.captions import RELATION_PHRASES
from ldm_core.data.scenes.things import things
from ldm_core.data.sources import EMOJIBASE, read_json
from ldm_core.text.knowledge import SUFFIX
from ldm_core.training.common.inputs import CORPUS

CHINESE = Path(__file__).parents[1] / "ldm_core" / "data" / "chinese.tsv"
OUT = Path(__file__).parents[1] / "weights" / f"emoji-128{SUFFIX}"
NUMBERS = ["one", "two", "three", "four"]


def labels(archive: Path) -> dict[str, dict[str, str]]:
    """Concept → {"emoji": its character, "zh": its Chinese label}."""
    chinese = {row["hexcode"]: row["label"] for row in read_json(archive, "zh/data.json")}
    found: dict[str, dict[str, str]] = {}
    for row in read_json(archive, "en/data.json"):
        about = {"emoji": row["emoji"].replace("\ufe0f", ""), "zh": chinese.get(row["hexcode"], "")}
        found.setdefault(plain_label(str(row["label"])), about)
    return found


def read_chinese(path: Path = CHINESE) -> dict[str, tuple[str, str]]:
    """Chinese word → (kind, English)."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {word.lower(): (kind, english) for kind, english, words in rows for word in words.split("|")}


def knowledge(entries: list[Entry], archive: Path) -> dict[str, Any]:
    """The file's content; see `Knowledge`."""
    train = [e for e in entries if e.split == "train"]
    concepts, about = sorted({e.concept for e in train}), labels(archive)
    texts = {text for e in train for text in (e.name, e.concept, *e.tags)}
    chinese = {about[c]["zh"].lower(): ("thing", c) for c in concepts if c in about and about[c]["zh"]}
    return {
        "concepts": {c: about.get(c, {}) for c in concepts},
        "things": {name: list(thing.words) for name, thing in things().items()},
        "synonyms": {word: c for c, words in sorted(read_synonyms().items()) if c in concepts for word in words},
        "styles": sorted({e.style for e in train}),
        "colours": list(BACKGROUNDS),
        "numbers": NUMBERS,
        "relations": {str(name): list(ways) for name, ways in RELATION_PHRASES.items()},
        "vocabulary": sorted({w for text in texts for w in re.findall(r"[^\W_]+(?:['\-][^\W_]+)*", text.lower())}),
        "chinese": chinese | read_chinese(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path, nargs="?", default=CORPUS)
    corpus = parser.parse_args().corpus.expanduser()
    found = knowledge(read_index(corpus / "index.tsv"), corpus / "packages" / EMOJIBASE.archive)
    OUT.write_text(json.dumps(found, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{OUT}: {OUT.stat().st_size / 1e3:.0f} kB, {len(found['concepts'])} concepts")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
