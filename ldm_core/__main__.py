"""`python -m ldm_core VERB …`: finds the verb's module in ldm_core/cli and runs it."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import re
import sys

from ldm_core.files import print_anywhere

VERBS = {
    "generate": "pictures from prompts, a class or nothing",
    "train": "train a part of a model on a corpus",
    "evaluate": "say what weights are worth, against held-out drawings",
    "data": "build the captioned corpus",
    "inspect": "say what a weights file is",
    "convert": "weights from one layout to another",
}


def main(argv: list[str] | None = None) -> int:
    """Only the module of the verb asked for is imported; it has add_arguments(parser) and run(args) → exit status."""
    print_anywhere()  # before the parser, which prints the help
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m ldm_core", description="Latent Lab's command line")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="{" + ",".join(VERBS) + "}")
    asked = [v for v in VERBS if argv[:1] == [v]]
    for verb in asked or VERBS:
        sub = verbs.add_parser(verb, help=VERBS[verb])
        if asked:
            module = importlib.import_module(f"ldm_core.cli.{verb}")
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    args = parser.parse_args(argv)
    try:
        return int(args.run(args))
    except (ValueError, MemoryError) as error:
        said = str(error)
    except RuntimeError as error:
        if "home directory" not in str(error):  # of pathlib, which does not say whose
            raise
        paths = [re.sub(r"^(--[\w-]+=|@)", "", word) for word in argv]
        lost = [path for path in paths if path.startswith("~") and os.path.expanduser(path) == path]
        said = f"there is no home folder for {', '.join(lost) or '~'}"
    except OSError as error:
        if (
            error.filename is None and error.errno != errno.ENOSPC
        ):  # not about a file that was named: a fault of ours, or of the machine
            raise
        said = str(error.strerror) if error.filename is None else f"{error.strerror}: {error.filename}"
    print(f"error: {' '.join(said.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
