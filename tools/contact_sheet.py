"""The page's example prompts, several seeds each, on one labelled sheet: `python -m tools.contact_sheet [--out FILE]`.

The picture to look at after new weights: what a visitor gets from the buttons, failures included.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import ldm_core
from app.ui.examples import EXAMPLES
from ldm_core.shipped import EMOJI_128

GAP, LABEL = 6, 26  # pixels between pictures, and of a row's line of text
INK, PAPER = (40, 40, 40), (250, 250, 249)


def labelled(rows: Mapping[str, NDArray[np.uint8]]) -> Image.Image:
    """prompt → pictures uint8 [B,H,W,3]: a row for each, the prompt above it."""
    _, height, width, _ = next(iter(rows.values())).shape
    columns = max(len(pictures) for pictures in rows.values())
    size = GAP + columns * (width + GAP), GAP + len(rows) * (LABEL + height + GAP)
    page = Image.new("RGB", size, PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    for r, (prompt, pictures) in enumerate(rows.items()):
        top = GAP + r * (LABEL + height + GAP)
        draw.text((GAP, top + 4), prompt, INK, font)
        for c, picture in enumerate(pictures):
            page.paste(Image.fromarray(picture), (GAP + c * (width + GAP), top + LABEL))
    return page


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--weights", type=Path, default=EMOJI_128)
    parser.add_argument("--prompts", type=Path, metavar="FILE", help="one a line, instead of the page's examples")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--seeds", type=int, default=6, metavar="N", help="pictures a prompt: seeds SEED, SEED+1, …")
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots/examples.png"))
    args = parser.parse_args(argv)
    prompts = args.prompts.read_text().split("\n") if args.prompts else EXAMPLES
    pipe = ldm_core.load(args.weights)
    rows = {p: pipe.generate(p, seed=args.seed, batch=args.seeds) for p in prompts if p.strip()}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    labelled(rows).save(args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
