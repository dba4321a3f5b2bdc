"""What import-linter cannot see: lazy imports count as none, and importing a module does nothing."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def modules(package: str) -> list[str]:
    found = pkgutil.walk_packages([str(ROOT / package)], prefix=f"{package}.")
    return [module.name for module in found if not module.name.endswith("__main__")]


def python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    paths = f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
    return subprocess.run([sys.executable, "-c", paths + code], cwd=cwd, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("module", ["app.settings", "app.schemas", "app.ui.page"])
def test_the_page_comes_up_without_torch(module: str, tmp_path: Path) -> None:
    result = python(f"import {module}; print('torch' in sys.modules)", tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "False", f"importing {module} imports torch"


def test_that_torch_would_be_noticed(tmp_path: Path) -> None:
    assert python("import app.labs.common.trajectory; print('torch' in sys.modules)", tmp_path).stdout == "True\n"


IMPORT = """
import importlib, sys
opened = []
sys.addaudithook(lambda event, args: event == "open" and opened.append(str(args[0])))
for name in {names!r}:
    importlib.import_module(name)
own = [path for path in opened if path.startswith({folders!r}) and "__pycache__" not in path]
print(*(path for path in own if not path.endswith(".py")), sep="", end="")
"""


def test_importing_prints_nothing_reads_no_file_of_ours_and_leaves_none(tmp_path: Path) -> None:
    """Both packages in one process: what torch and gradio cost is paid once. The page brings its own assets."""
    names = [*modules("ldm_core"), *modules("app")]
    assert {"ldm_core.pipeline", "app.service"} <= set(names)
    folders = (str(ROOT / "ldm_core"), str(ROOT / "weights"))
    result = python(IMPORT.format(names=names, folders=folders), tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert not list(tmp_path.iterdir())
