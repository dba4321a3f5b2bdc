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
    return subprocess.run([sys.executable, "-c", paths + code], cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("module", ["app.settings", "app.schemas", "app.ui"])
def test_the_page_comes_up_without_torch(module: str, tmp_path: Path) -> None:
    if not (ROOT / module.replace(".", "/")).exists() and not (ROOT / (module.replace(".", "/") + ".py")).exists():
        pytest.skip(f"{module} does not exist yet")
    result = python(f"import {module}; print('torch' in sys.modules)", tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "False", f"importing {module} imports torch"


@pytest.mark.parametrize("package", ["ldm_core", "app"])
def test_importing_prints_nothing_and_leaves_no_file(package: str, tmp_path: Path) -> None:
    if not (ROOT / package / "__init__.py").exists():
        pytest.skip(f"{package} does not exist yet")
    names = modules(package)
    assert names
    result = python(f"import importlib; [importlib.import_module(name) for name in {names!r}]", tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert not list(tmp_path.iterdir())
