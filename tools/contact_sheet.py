"""The page's example prompts, several seeds each, on one labelled sheet: `python -m tools.contact_sheet [--out FILE]`.

The picture to look at after new weights: what a visitor gets from the buttons, failures included.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ldm_core
from app.i18n import say
from app.ui.examples import EXAMPLES
from app.ui.many_prompts import prompt_sheet
from ldm_core.shipped import EMOJI_128


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--weights", type=Path, default=EMOJI_128)
    parser.add_argument("--prompts", type=Path, metavar="FILE", help="one a line, instead of the page's examples")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--seeds", type=int, default=6, metavar="N", help="pictures a prompt: seeds SEED, SEED+1, …")
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots/examples.png"))
    args = parser.parse_args(argv)
    prompts = args.prompts.read_text().split("\n") if args.prompts else [say("en", key) for key in EXAMPLES]
    pipe = ldm_core.load(args.weights)
    rows = [(p, pipe.generate(p, seed=args.seed, batch=args.seeds)) for p in prompts if p.strip()]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    prompt_sheet(rows).save(args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
