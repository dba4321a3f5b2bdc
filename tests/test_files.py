"""The one reader of text files that people name, and the one writer of files that are whole or not there."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from ldm_core.files import printable, read_text, replacing

TEXT = "ein Apfel, größer\n林檎 🍎\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_every_byte_order_mark(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_bytes(TEXT.encode(encoding))
    assert read_text(tmp_path / "file.txt") == TEXT


def test_a_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "file.txt").write_text(TEXT, encoding="utf-8")
    assert read_text("~/file.txt") == TEXT


def test_what_is_no_text_file_is_one_sentence(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "latin").write_bytes("größer".encode("latin-1"))
    (tmp_path / "long").write_bytes(b"a" * 1001)
    for name, said in (
        ("fifo", "not a regular file"),
        ("zero", "not a regular file"),
        ("latin", "not text in UTF-8"),
        ("long", "longer than 1,000 bytes"),
        ("missing", "cannot be read: No such file"),
        (".", "cannot be read|not a regular file"),
    ):
        with pytest.raises(ValueError, match=said) as error:
            read_text(tmp_path / name, 1000)
        assert "\n" not in str(error.value)


def test_what_steers_a_terminal_is_shown() -> None:
    assert printable("a\x1b[2J\n\u202eb") == r"a\x1b[2J\n\u202eb"
    assert printable("größer 林檎 🍎 × …") == "größer 林檎 🍎 × …"


def test_a_file_is_replaced_when_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as partial:
        partial.write_text("ne")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with replacing(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    with replacing(path) as partial:
        partial.write_text("new")
    partial.write_text("left, and longer")
    with replacing(path) as again:
        again.write_text("newer")
    assert again == partial and path.read_text() == "newer" and list(tmp_path.iterdir()) == [path]


def test_two_who_write_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    with replacing(path) as first:
        first.write_text("first, and longer")
        with replacing(path) as second:
            second.write_text("second")
        assert path.read_text() == "second" and first.read_text() == "first, and longer"
    assert path.read_text() == "first, and longer" and list(tmp_path.iterdir()) == [path]


def test_a_hidden_file_that_another_has_moved_away_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening it and having its lock."""
    path = tmp_path / "state.pt"
    monkeypatch.setattr("fcntl.flock", lambda *_: (tmp_path / ".state.pt.part").replace(path))
    with replacing(path) as partial:
        partial.write_text("mine")
        assert path.read_text() == ""
    assert path.read_text() == "mine" and list(tmp_path.iterdir()) == [path]


def test_where_there_are_no_locks_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.pt"
    monkeypatch.setattr("fcntl.flock", Mock(side_effect=OSError(errno.ENOLCK, "No locks available")))
    with replacing(path) as partial:
        partial.write_text("mine")
    assert path.read_text() == "mine" and list(tmp_path.iterdir()) == [path]
