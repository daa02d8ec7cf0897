"""Archives good and malicious, all made here."""

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from dfx.datasets.download import unpack

FILES = {"LA/train/a.flac": b"one", "LA/train/b c.flac": b"two", "LA/README.txt": b"read", "LA/empty": b""}
TARS = {".tar": "w", ".tar.gz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}


def member(name, kind=tarfile.REGTYPE, link="", content=b"x"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(content) if kind == tarfile.REGTYPE else 0
    info.mode = 0o644 if kind != tarfile.DIRTYPE else 0o755
    return info, io.BytesIO(content)


def tar(path, *members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for info, data in members:
            archive.addfile(info, data)
    return path


def zipped(path, files, links=()):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (stat.S_IFLNK if name in links else stat.S_IFREG) << 16
            archive.writestr(info, content)
    return path


def good(path):
    if path.suffix == ".zip":
        return zipped(path, {"LA/": b"", "LA/train/": b"", **FILES})
    entries = [member("LA", tarfile.DIRTYPE), *(member(name, content=c) for name, c in FILES.items())]
    return tar(path, *entries, mode=TARS["".join(path.suffixes)])


def held(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("suffix", [".zip", *TARS])
@pytest.mark.parametrize("strip", [0, 1])
def test_contents_arrive_and_nothing_else(tmp_path, suffix, strip):
    archive = good(tmp_path / f"LA{suffix}")
    wanted = {name.removeprefix("LA/" if strip else ""): content for name, content in FILES.items()}
    names = unpack.unpack(archive, tmp_path / "out", strip)
    assert held(tmp_path / "out") == wanted
    assert names == (["README.txt", "empty", "train"] if strip else ["LA"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"LA{suffix}", "out"]


def test_several_archives_fill_one_folder_and_a_repetition_changes_nothing(tmp_path):
    parts = [tar(tmp_path / f"p{n}.tar.gz", member(f"flac_T/{n}.flac", content=b"%d" % n), mode="w:gz") for n in (1, 2)]
    for _ in range(2):
        for part in parts:
            assert unpack.unpack(part, tmp_path / "out") == ["flac_T"]
    assert held(tmp_path / "out") == {"flac_T/1.flac": b"1", "flac_T/2.flac": b"2"}


def test_what_an_interrupted_call_left_is_done_again(tmp_path):
    archive = good(tmp_path / "LA.zip")
    left = tmp_path / "LA.zip.unpacking"
    left.mkdir()
    (left / "half").write_text("half")
    unpack.unpack(archive, tmp_path / "out")
    assert held(tmp_path / "out") == FILES
    assert not left.exists()


def test_a_second_name_of_a_file_becomes_a_copy(tmp_path):
    archive = tar(tmp_path / "a.tar", member("d/a", content=b"abc"), member("d/b", tarfile.LNKTYPE, "d/a"))
    unpack.unpack(archive, tmp_path / "out", strip=1)
    assert held(tmp_path / "out") == {"a": b"abc", "b": b"abc"}


def test_a_second_name_of_what_the_folder_loses_is_refused(tmp_path):
    archive = tar(tmp_path / "a.tar", member("a"), member("d/b", tarfile.LNKTYPE, "a"))
    with pytest.raises(ValueError, match="did not come before"):
        unpack.unpack(archive, tmp_path / "out", strip=1)


def evil_tar(*members):
    return lambda folder: tar(folder / "evil.tar.gz", member("fine"), *members, mode="w:gz")


def evil_zip(name, links=()):
    return lambda folder: zipped(folder / "evil.zip", {"fine": b"x", name: b"../../outside"}, links)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (evil_tar(member("../evil")), "'../evil' lies outside"),
        (evil_tar(member("a/../../evil")), "lies outside"),
        (evil_tar(member("a/../b")), "lies outside"),
        (evil_tar(member("..\\evil")), "lies outside"),
        (evil_tar(member("/dfx-evil")), "lies outside"),
        (evil_tar(member("C:\\evil")), "lies outside"),
        (evil_tar(member("out", tarfile.SYMTYPE, ".."), member("out/evil")), "'out' is a symbolic link or a device"),
        (evil_tar(member("out", tarfile.SYMTYPE, "fine")), "is a symbolic link or a device"),
        (evil_tar(member("passwd", tarfile.LNKTYPE, "/dfx-evil")), "'/dfx-evil' lies outside"),
        (evil_tar(member("twin", tarfile.LNKTYPE, "../../evil.tar.gz")), "lies outside"),
        (evil_tar(member("twin", tarfile.LNKTYPE, "later"), member("later")), "did not come before"),
        (evil_tar(member("twin", tarfile.LNKTYPE, "nowhere")), "did not come before"),
        (evil_tar(member("pipe", tarfile.FIFOTYPE)), "is a symbolic link or a device"),
        (evil_tar(member("disk", tarfile.BLKTYPE)), "is a symbolic link or a device"),
        (evil_tar(member("tty", tarfile.CHRTYPE)), "is a symbolic link or a device"),
        (evil_tar(member("fine/below")), "is a file and a folder at once"),
        (evil_tar(member("fine", tarfile.DIRTYPE)), "is a file and a folder at once"),
        (evil_zip("../evil"), "lies outside"),
        (evil_zip("/dfx-evil"), "lies outside"),
        (evil_zip("..\\evil"), "lies outside"),
        (evil_zip("link", links=("link",)), "is a symbolic link or a device"),
    ],
)
def test_a_malicious_archive_leaves_nothing(tmp_path, make, sentence):
    archives = tmp_path / "data" / "archives"
    archives.mkdir(parents=True)
    archive = make(archives)
    with pytest.raises(ValueError, match=sentence.replace("\\", r"\\")):
        unpack.unpack(archive, tmp_path / "data")
    found = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if not path.is_dir()]
    assert found == [Path("data/archives") / archive.name]
    assert not Path("/dfx-evil").exists()


def test_modes_and_owners_of_an_archive_are_not_taken_over(tmp_path):
    info, data = member("a")
    info.mode, info.uid = 0o6777, 0
    unpack.unpack(tar(tmp_path / "a.tar", (info, data)), tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out" / "a").stat().st_mode) & 0o7133 == 0


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_a_bomb_is_not_unpacked(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(unpack, "SMALL", 1 << 20)
    zeros = bytes(4 << 20)
    path = tmp_path / f"bomb{suffix}"
    if suffix == ".zip":
        zipped(path, {"zeros": zeros})
    else:
        tar(path, member("zeros", content=zeros), mode="w:gz")
    with pytest.raises(ValueError, match="as archives do that are made to fill disks"):
        unpack.unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_zip_that_declares_less_than_it_holds_is_damaged(tmp_path):
    path = zipped(tmp_path / "a.zip", {"zeros": bytes(100_000)})
    data = path.read_bytes()
    path.write_bytes(data.replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(ValueError, match="cannot be unpacked"):
        unpack.unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_a_sentence(tmp_path, free_bytes):
    archive = good(tmp_path / "LA.tar.gz")
    free_bytes(5)
    with pytest.raises(ValueError, match=r"unpacks to 6 bytes or more, but .* has 5 free: make room"):
        unpack.unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tar.bz2"])
@pytest.mark.parametrize("cut", [10, 0.7])
def test_a_damaged_archive_is_a_sentence(tmp_path, suffix, cut):
    path = tmp_path / f"a{suffix}"
    noise = {"noise": os.urandom(50_000)}
    if suffix == ".zip":
        zipped(path, noise)
    else:
        tar(path, member("noise", content=noise["noise"]), mode=TARS[suffix])
    data = path.read_bytes()
    path.write_bytes(data[: int(cut * len(data)) if cut < 1 else int(cut)])
    with pytest.raises(ValueError, match=r"cannot be unpacked .*damaged"):
        unpack.unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_text_file_is_no_archive(tmp_path):
    path = tmp_path / "a.zip"
    path.write_text("please log in")
    with pytest.raises(ValueError, match="damaged, encrypted or no archive"):
        unpack.unpack(path, tmp_path / "out")


def test_a_file_where_a_folder_must_go_is_named(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "LA").write_text("mine")
    with pytest.raises(ValueError, match=r"out/LA is in the way"):
        unpack.unpack(good(tmp_path / "LA.zip"), tmp_path / "out")
    assert held(tmp_path / "out") == {"LA": b"mine"}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_would_fill_the_memory_is_refused(tmp_path, kind, mode):
    info, _ = member("LA/x")
    info.type, info.size = kind, 300 << 20
    with tarfile.open(tmp_path / "evil.tar", mode) as archive:
        archive.fileobj.write(info.tobuf())  # the claim is enough
        archive.fileobj.write(bytes(4096))
    with pytest.raises(ValueError, match="a header of 314,572,800 bytes"):
        unpack.unpack(tmp_path / "evil.tar", tmp_path / "out")


def test_members_of_a_zip_that_overlap_are_refused(tmp_path):
    path = zipped(tmp_path / "evil.zip", {"a": b"x" * 1000, "b": b"x" * 1000})
    data = bytearray(path.read_bytes())
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = (5).to_bytes(4, "little")  # its local header begins within the first member
    path.write_bytes(data)
    with pytest.raises(ValueError, match="'b' overlaps another member"):
        unpack.unpack(path, tmp_path / "out")
