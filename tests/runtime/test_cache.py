"""The cache is the user's own, an entry is whole or absent, and all together stay below a size."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from ldm_core.presets import TINY
from ldm_core.runtime import cache
from ldm_core.runtime.openvino import graph_name


def fill(text: str):
    return lambda folder: (folder / "graph.bin").write_text(text)


def test_entry_is_found_once_it_is_whole(tmp_path: Path):
    assert cache.find(tmp_path, "a") is None
    stored = cache.store(tmp_path, "a", fill("weights"))
    assert cache.find(tmp_path, "a") == stored
    assert (stored / "graph.bin").read_text() == "weights"


def test_folder_is_made_private_and_a_foreign_or_open_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = cache.cache_root({"LATENT_LAB_CACHE": str(tmp_path / "new" / "graphs")})
    assert root is not None and root.stat().st_mode & 0o777 == 0o700
    root.chmod(0o777)
    assert cache.cache_root({"LATENT_LAB_CACHE": str(root)}) is None
    root.chmod(0o700)
    (tmp_path / "link").symlink_to(root)
    assert cache.cache_root({"LATENT_LAB_CACHE": str(tmp_path / "link")}) is None
    monkeypatch.setattr(os, "getuid", lambda: root.stat().st_uid + 1)
    assert cache.cache_root({"LATENT_LAB_CACHE": str(root)}) is None


def test_no_cache_where_none_can_be_written(tmp_path: Path):
    (tmp_path / "file").write_text("")
    assert cache.cache_root({"LATENT_LAB_CACHE": str(tmp_path / "file" / "graphs")}) is None
    assert cache.cache_root({"LATENT_LAB_CACHE": os.devnull}) is None


def test_user_without_a_home_has_no_cache_but_one_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(cache.Path, "home", homeless)
    assert cache.cache_root({}) is None
    assert cache.cache_root({"LATENT_LAB_CACHE": str(tmp_path / "a")}) == tmp_path / "a"
    assert cache.cache_root({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "latent-lab" / "graphs"


@pytest.mark.parametrize("damage", ["short", "gone", "no manifest", "bad manifest"])
def test_damaged_entry_is_removed(tmp_path: Path, damage: str):
    stored = cache.store(tmp_path, "a", fill("weights"))
    if damage == "short":
        (stored / "graph.bin").write_text("weig")
    elif damage == "gone":
        (stored / "graph.bin").unlink()
    elif damage == "no manifest":
        (stored / cache.MANIFEST).unlink()
    else:
        (stored / cache.MANIFEST).write_text("[1")
    assert cache.find(tmp_path, "a") is None
    assert not stored.exists()
    assert cache.find(tmp_path, "a") is None and cache.store(tmp_path, "a", fill("weights")).is_dir()


def test_failed_write_leaves_nothing(tmp_path: Path):
    def full(folder: Path) -> None:
        (folder / "graph.bin").write_text("half")
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        cache.store(tmp_path, "a", full)
    assert list(tmp_path.iterdir()) == []


def test_whoever_stores_second_keeps_the_first(tmp_path: Path):
    def overtaken(folder: Path) -> None:
        (folder / "graph.bin").write_text("second")
        cache.store(tmp_path, "a", fill("first"))

    stored = cache.store(tmp_path, "a", overtaken)
    assert (stored / "graph.bin").read_text() == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_entries_unused_longest_go_first(tmp_path: Path):
    for age, name in enumerate(("new", "middle", "old")):
        folder = cache.store(tmp_path, name, fill("x" * 1000))
        os.utime(folder, (1e9 - age, 1e9 - age))
    assert cache.find(tmp_path, "old") is not None  # used just now
    cache.trim(tmp_path, keep="new", max_bytes=2200)
    assert {entry.name for entry in tmp_path.iterdir()} == {"new", "old"}


def test_an_entry_stays_stored_where_two_processes_trim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cache, "trim", Mock(side_effect=FileNotFoundError("gone meanwhile")))
    stored = cache.store(tmp_path, "a", fill("weights"))
    assert cache.find(tmp_path, "a") == stored


def test_drafts_of_killed_processes_go(tmp_path: Path):
    dead = tmp_path / f"{cache.DRAFT}dead"
    dead.mkdir()
    os.utime(dead, (1e9, 1e9))
    (tmp_path / f"{cache.DRAFT}alive").mkdir()
    cache.trim(tmp_path, keep="")
    assert [entry.name for entry in tmp_path.iterdir()] == [f"{cache.DRAFT}alive"]


def test_graphs_are_those_of_the_weights_whatever_their_output_is_read_as():
    named = {graph_name("0" * 64, replace(TINY, parameterization=kind)) for kind in ("eps", "x0", "v")}
    assert len(named) == 1
    assert graph_name("0" * 64, replace(TINY, name="other")) not in named
    assert graph_name("1" * 64, TINY) not in named
