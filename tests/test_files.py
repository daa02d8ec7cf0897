"""Files are written whole or not at all, and the cache folder has one rule."""

import errno
import os
from pathlib import Path

import pytest

from dfx import files


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "a.csv"
    with files.atomic_write(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.suffix == ".csv"
    assert path.read_text() == "half"
    assert os.listdir(path.parent) == ["a.csv"]  # noqa: PTH208


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    files.write_text_file(path, "old")
    with pytest.raises(FileNotFoundError), files.atomic_write(path) as temporary:
        temporary.rename(tmp_path / "gone").unlink()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_text_of_file_names_that_are_no_utf8_is_escaped(tmp_path):
    files.write_text_file(tmp_path / "a", b"caf\xe9".decode(errors="surrogateescape"))
    assert (tmp_path / "a").read_text() == "caf\\udce9"


def test_only_old_temporary_files_are_removed(tmp_path):
    old, new = tmp_path / f"{files.TEMPORARY}1-a", tmp_path / f"{files.TEMPORARY}2-b"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    files.remove_abandoned_files(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == [new.name]


def test_the_cache_folder_is_the_given_one_then_the_environment(monkeypatch):
    monkeypatch.setenv("DFX_CACHE", "~/kept")
    assert files.cache_dir() == Path.home() / "kept"
    assert files.cache_dir("here") == Path.cwd() / "here"
    with pytest.raises(ValueError, match="The cache folder ~nobody_at_all/x is in an unknown home: give its"):
        files.cache_dir("~nobody_at_all/x")


def test_a_temporary_folder_is_removed_at_the_next_start_where_it_could_not_be(tmp_path, monkeypatch):
    with monkeypatch.context() as patch, files.temporary_folder(tmp_path) as left:
        assert left.stat().st_mode & 0o777 == 0o700
        patch.setattr(files.shutil, "rmtree", lambda *_, **__: None)
    assert left.exists()
    assert left.with_suffix(".lock").exists()
    with files.temporary_folder(tmp_path) as folder:
        assert sorted(tmp_path.iterdir()) == [folder, folder.with_suffix(".lock")]
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"filled up while maps were"), files.full_disk_is_an_error(tmp_path, "maps"):
        raise OSError(errno.ENOSPC, "no space")
    with pytest.raises(PermissionError), files.full_disk_is_an_error(tmp_path, "maps"):
        raise PermissionError


def test_errors_of_the_system_are_sentences_with_the_file_and_what_to_do(tmp_path):
    with pytest.raises(OSError, match="report") as full, files.atomic_write(tmp_path / "report.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")  # as write() raises it, without a name
    text = files.os_error_sentence(full.value)
    assert text == f"The disk is full: {tmp_path}/report.txt. Free some room there, or work in another folder; " + (
        "what is finished is kept."
    )
    with pytest.raises(OSError, match=r"a\.ckpt") as moved, files.atomic_write(tmp_path / "a.ckpt") as temporary:
        raise OSError(errno.ENOSPC, "No space left on device", "elsewhere", None, str(temporary))  # of shutil.move
    assert files.os_error_sentence(moved.value).startswith(f"The disk is full: {tmp_path}/a.ckpt. Free")
    denied = PermissionError(errno.EACCES, "Permission denied", "/corpora/x.csv")
    assert files.os_error_sentence(denied).startswith("There is no permission to read or write: /corpora/x.csv. Change")
    (tmp_path / "link").symlink_to("/nowhere/at/all")
    with pytest.raises(OSError, match="link") as dangling:
        files.write_text_file(tmp_path / "link" / "below" / "a.txt", "")
    assert files.os_error_sentence(dangling.value).startswith(
        f"{tmp_path}/link is a link to /nowhere/at/all, which does"
    )
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="loop") as looped:
        files.write_text_file(tmp_path / "loop" / "a.txt", "")
    assert files.os_error_sentence(looped.value).startswith(f"{tmp_path}/loop is a link to loop, which leads back")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file") as inside:
        files.write_text_file(tmp_path / "file" / "a.txt", "")
    assert "a file" in files.os_error_sentence(inside.value)
    assert files.os_error_sentence(ConnectionRefusedError("no")) == "no"
    busy = OSError(errno.EBUSY, "Device or resource busy", "/corpora")
    assert files.os_error_sentence(busy) == (
        "The system reports: Device or resource busy: /corpora. Look at the disk, the rights and the path, and repeat."
    )
