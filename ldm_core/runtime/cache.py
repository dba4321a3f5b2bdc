"""A folder of the user's own for graphs made from weights: found, checked, written in one go, kept below a size."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

MANIFEST = "manifest.json"  # written last: the size of every file of a whole entry
DRAFT = ".draft-"
DRAFT_SECONDS = 86_400  # a draft this old was left by a process that was killed
MAX_BYTES = 12_000_000_000  # of all entries; an SD v1 model's is 2.2 GB, and its compiled blobs as much again
log = logging.getLogger(__name__)


def cache_root(environ: Mapping[str, str] = os.environ) -> Path | None:
    """`$LATENT_LAB_CACHE`, else latent-lab/graphs in the user's cache directory; created with mode 0700.

    None where it cannot be written, or belongs to somebody else: what lies there would be executed.
    """
    named = environ.get("LATENT_LAB_CACHE")
    try:
        root = Path(named) if named else _user_cache(environ) / "latent-lab" / "graphs"
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = root.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != _user(found.st_uid):
            log.warning("the cache %s is not this user's own folder: it is not used", root)
            return None
        if stat.S_IMODE(found.st_mode) & 0o022:
            log.warning("the cache %s can be written by others: it is not used", root)
            return None
        return root if os.access(root, os.W_OK | os.X_OK) else None
    except (OSError, RuntimeError):  # RuntimeError: a user without a home, as containers run with --user
        return None


def _user_cache(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _user(otherwise: int) -> int:
    """This process's user; `otherwise` on systems without such numbers."""
    return os.getuid() if hasattr(os, "getuid") else otherwise


def entry_name(**parts: object) -> str:
    """A file name for everything an entry depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def find(root: Path, name: str) -> Path | None:
    """A whole entry; one that lacks a file, or has one of another size, is removed."""
    folder = root / name
    if not folder.is_dir():
        return None
    try:
        sizes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        whole = all((folder / file).stat().st_size == size for file, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        whole = False
    if not whole:
        log.warning("the cache's entry %s is damaged: it is made anew", name)
        remove(folder)
        return None
    with contextlib.suppress(OSError):  # gone meanwhile: whoever reads it will say so
        os.utime(folder)  # used now: the one unused longest goes first
    return folder


def store(root: Path, name: str, write: Callable[[Path], None]) -> Path:
    """Let `write` fill a folder, then put it in place in one rename. Whoever was first stays. OSError where full."""
    draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=root))  # mode 0700
    try:
        write(draft)
        sizes = {str(f.relative_to(draft)): f.stat().st_size for f in draft.rglob("*") if f.is_file()}
        (draft / MANIFEST).write_text(json.dumps(sizes), encoding="utf-8")
        target = root / name
        try:
            draft.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    with contextlib.suppress(OSError):  # another process trims too: what both saw has gone for one of them
        trim(root, keep=name)
    return target


def remove(folder: Path) -> None:
    """An entry away; a half-removed one has no manifest and is nobody's."""
    (folder / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def trim(root: Path, keep: str, max_bytes: int = MAX_BYTES) -> None:
    """Remove the entries unused longest, never `keep`, until all together are at most max_bytes; and dead drafts."""
    for draft in root.glob(f"{DRAFT}*"):
        if time.time() - draft.stat().st_mtime > DRAFT_SECONDS:
            shutil.rmtree(draft, ignore_errors=True)
    entries = sorted((f for f in root.iterdir() if (f / MANIFEST).is_file()), key=lambda f: f.stat().st_mtime)
    sizes = {f: sum(file.stat().st_size for file in f.rglob("*") if file.is_file()) for f in entries}
    total = sum(sizes.values())
    for folder in entries:
        if total > max_bytes and folder.name != keep:
            remove(folder)
            total -= sizes[folder]
