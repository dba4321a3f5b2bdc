"""Print the path of this checkout's Python environment, building it first where it is missing.

The environment is keyed by a hash of the requirement files, so one commit has one and a changed pin makes a new one.
It grows in two steps: `run` has what serving needs, `test` adds training, tests and peers to the same environment.
Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
CONSTRAINTS = "constraints.txt"  # pins what the requirements bring along
LEVELS = {"run": ("requirements.txt",), "test": ("requirements.txt", "requirements-train.txt", "requirements-dev.txt")}
REQUIREMENTS = (*LEVELS["test"], CONSTRAINTS)
Run = Callable[[Sequence[str]], None]


def default_root() -> Path:
    """`$LATENT_LAB_ENV_DIR`, else `~/.cache/latent-lab`."""
    return Path(os.environ.get("LATENT_LAB_ENV_DIR") or Path.home() / ".cache" / "latent-lab")


def key(repository: Path, torch_index_url: str) -> str:
    """Twelve hex digits of what decides the installed set: requirement files, Python's version, wheel index."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {torch_index_url}".encode())
    for name in REQUIREMENTS:
        digest.update((repository / name).read_bytes())
    return digest.hexdigest()[:12]


def run(command: Sequence[str]) -> None:
    """Run `command`, its output on stderr: stdout carries the one line that callers read."""
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def apt_install(packages: Sequence[str], run: Run = run) -> bool:
    """Install Debian packages where that is possible without asking (root, apt-get); False where it is not."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    try:
        run(["apt-get", "update", "-qq"])
        run(["apt-get", "install", "-qq", "-y", "--no-install-recommends", *packages])
    except subprocess.CalledProcessError:
        return False
    return True


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock file: two `make` at once build one environment, not half of two."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def stamp(target: Path, level: str) -> Path:
    """The file whose presence says that `level` is installed whole: it is written last."""
    return target / f"complete-{level}"


def build(target: Path, repository: Path, level: str, torch_index_url: str, run: Run = run) -> None:
    """Create the environment in `target`, or add to a complete smaller one. Half of one starts over.

    Built in place, since a virtual environment's scripts name their own path and cannot be renamed.
    """
    if not any(stamp(target, smaller).exists() for smaller in LEVELS):
        shutil.rmtree(target, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(target)])
    index = ["--extra-index-url", torch_index_url] if torch_index_url else []
    files = [word for name in LEVELS[level] for word in ("-r", str(repository / name))]
    pip = [str(target / "bin" / "python"), "-m", "pip", "--no-input", "--disable-pip-version-check", "install"]
    run([*pip, *index, "-c", str(repository / CONSTRAINTS), *files])
    stamp(target, level).touch()


def ensure(root: Path, repository: Path, level: str, torch_index_url: str, run: Run = run) -> Path:
    """Path of the environment for `repository` under `root`, with at least `level` installed."""
    name = f"env-{key(repository, torch_index_url)}"
    target = root / name
    enough = list(LEVELS)[list(LEVELS).index(level) :]
    with locked(root / f".{name}.lock"):
        if not any(stamp(target, larger).exists() for larger in enough):
            print(f"Installing what it takes to {level} into {target} (once per set of requirements)", file=sys.stderr)
            build(target, repository, level, torch_index_url, run)
    return target


def has_venv() -> bool:
    """Whether this Python can make an environment with pip in it (Debian packs that apart)."""
    return subprocess.run([sys.executable, "-c", "import ensurepip, venv"], capture_output=True).returncode == 0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--for", dest="level", choices=LEVELS, default="test", help="how much to install")
    parser.add_argument("--root", type=Path, default=default_root(), help="folder that holds the environments")
    parser.add_argument("--torch-index-url", default=os.environ.get("TORCH_INDEX_URL", ""), help="for CPU-only wheels")
    args = parser.parse_args(argv)
    if sys.version_info < (3, 11):  # noqa: UP036  (whatever python3 is on this machine runs this file)
        print(f"Latent Lab needs Python 3.11 or newer, not {sys.version.split()[0]}: make PYTHON=…", file=sys.stderr)
        return 1
    if not has_venv() and not (apt_install(["python3-venv"]) and has_venv()):
        print("Python's venv module is missing: install the package python3-venv and try again", file=sys.stderr)
        return 1
    try:
        print(ensure(args.root.expanduser().resolve(), REPOSITORY, args.level, args.torch_index_url))
    except subprocess.CalledProcessError as error:
        print(f"Building the environment failed (exit status {error.returncode}): see above", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
