"""A corpus small enough to ship: drawings of one set from a built corpus, in the corpus's own layout, as one zip.

python scripts/mini_corpus.py [--corpus DIR] [--out FILE] [--style STYLE] [--count N]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from ldm_core.data.corpus import Corpus, write_index

HELDOUT = 24
SHADES = 52  # of each channel: hardly to be seen, and the file is a third of its size


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpus", type=Path, default=Path("~/.cache/latent-lab/corpus"))
    parser.add_argument("--out", type=Path, default=Path("app/labs/losses/mini-corpus.zip"))
    parser.add_argument("--style", default="noto style")
    parser.add_argument("--count", type=int, default=600)
    args = parser.parse_args()
    corpus = Corpus(args.corpus.expanduser())
    rows = chosen(corpus, args.style, args.count)
    entries = [replace(corpus.entries[r], split="heldout" if i < HELDOUT else "train") for i, r in enumerate(rows)]
    step = 255 / (SHADES - 1)
    drawings = (np.round(np.round(corpus.drawings[rows] / step) * step)).astype(np.uint8)
    drawings[drawings[..., 3] == 0] = 0
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(args.out, "w", zipfile.ZIP_LZMA) as out:
        np.save(Path(folder) / "drawings.npy", drawings)
        write_index(Path(folder) / "index.tsv", entries)
        (Path(folder) / "ATTRIBUTION.md").write_text(attribution(corpus, args.style, len(rows)))
        for name in ("ATTRIBUTION.md", "index.tsv", "drawings.npy"):
            out.writestr(zipfile.ZipInfo(name), (Path(folder) / name).read_bytes(), zipfile.ZIP_LZMA)
    print(f"{args.out}: {len(rows)} drawings, {args.out.stat().st_size / 1e6:.2f} MB")
    return 0


def chosen(corpus: Corpus, style: str, count: int) -> list[int]:
    """Rows of one set without skin tones, flags left out (they are many and alike), spread by chance."""
    rows = [i for i, e in enumerate(corpus.entries) if e.style == style and not e.tone and "flag" not in e.name]
    return [int(r) for r in np.random.default_rng(0).permutation(rows)[:count]]


def attribution(corpus: Corpus, style: str, count: int) -> str:
    """Whose drawings they are."""
    sets = json.loads((corpus.path / "counts.json").read_text())["sets"]
    s = next(s for s in sets.values() if s["style"] == style)
    return (
        f"{count} drawings of {s['source']} by {s['author']}, licence {s['licence']}, rendered at 128×128 pixels with "
        f"{SHADES} shades a channel.\n"
    )


if __name__ == "__main__":
    raise SystemExit(main())
