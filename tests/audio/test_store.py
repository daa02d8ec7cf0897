import errno
import os
import pickle
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import filelock
import numpy as np
import pandas as pd
import psutil
import pytest
import soundfile

from dfx import audio
from dfx.audio import part_catalogue, parts, store_builder, store_upkeep
from dfx.audio.conditioning import Conditions, condition_clip
from dfx.audio.parts import DecodingLimits
from dfx.audio.store import build_store_shard, open_store
from dfx.tables.manifest import Manifest
from setups import composed

PREAMBLE = """
    import os, signal, sys, time
    from pathlib import Path
    from dfx.audio import parts, store, store_builder
    from dfx.tables.manifest_reading import read_manifest
    folder = Path(sys.argv[1])
    corpus = read_manifest(folder / "m.csv")
"""


def manifest_of(paths):
    rows = [{"id": path.name, "path": str(path), "label": i % 2, "split": "train"} for i, path in enumerate(paths)]
    return Manifest(pd.DataFrame(rows), "test")


def make_corpus(folder, count=10, seconds=0.5, sample_rate=16000):
    generator = np.random.default_rng(0)
    paths = []
    for i in range(count):
        samples = generator.integers(-20000, 20000, round(seconds * sample_rate) + i).astype(np.int16)
        paths.append(folder / f"clip {i:03d}.wav")
        soundfile.write(paths[-1], samples, sample_rate)
    corpus = manifest_of(paths)
    corpus.write(folder / "m.csv")
    return corpus


@pytest.fixture
def small_parts(monkeypatch):
    """Two files of half a second in each part."""
    monkeypatch.setattr(parts, "MIN_BATCH_BYTES", 32 << 10)


def open_waveforms(corpus, folder, **options):
    return open_store(corpus, 16000, cache=folder / "cache", **{"num_workers": 0} | options)


def rows_of(corpus, *rows):
    return Manifest(corpus.table.iloc[list(rows)].assign(id=[f"u{i}" for i in range(len(rows))]))


def tables(folder):
    """Rows of every part of a store, by the name of the part."""
    found = {name: parts.read_part_table(folder, name) for name in parts.part_names(folder)}
    return {name: parts.part_entries(table[0]) for name, table in found.items() if table is not None}


def entries(folder):
    """Every recording of a store, as often as it was decoded."""
    return [entry for table in tables(folder).values() for entry in table]


def everything(store):
    return [store.read(row) for row in range(len(store))]


def assert_holds(store, corpus):
    for row, path in enumerate(corpus.table["path"]):
        np.testing.assert_array_equal(store.read(row), soundfile.read(path, dtype="float32")[0])


def run_script(folder, body):
    """A process that runs `body`; without a main guard, which dfx does not need."""
    script = folder / f"script_{abs(hash(body))}.py"
    script.write_text(textwrap.dedent(PREAMBLE) + textwrap.dedent(body))
    environment = os.environ | {"PYTHONPATH": str(Path(audio.__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([sys.executable, str(script), str(folder)], text=True, env=environment, **pipes)


# Reading


@pytest.mark.usefixtures("small_parts")
def test_sixteen_bit_files_are_exact_in_every_part(tmp_path):
    corpus = make_corpus(tmp_path)
    store = open_waveforms(corpus, tmp_path)
    assert store.path == tmp_path / "cache" / "waveforms" / "v3-16000"
    assert len(list(store.path.glob("*.pcm"))) == 5
    assert_holds(store, corpus)
    assert store.lengths.tolist() == [8000 + i for i in range(10)]
    assert store.lengths[3] == 8003
    assert len(store.bad) == 0
    assert {path.suffix for path in store.path.iterdir()} == {".pcm", ".parquet"}  # no lock, nothing unfinished


def test_the_store_gives_what_read_gives(tmp_path):
    corpus = make_corpus(tmp_path, 2, sample_rate=44100)
    store = open_waveforms(corpus, tmp_path)
    np.testing.assert_array_equal(store.read(1), audio.read_audio(corpus.table["path"][1], 16000))
    exact = np.concatenate(list(audio.read_audio_blocks(corpus.table["path"][1], 16000)))
    np.testing.assert_array_equal(store.read(1), audio.to_int16(exact).astype(np.float32) / 32768)


def test_a_clip_beyond_full_scale_is_not_clipped(tmp_path):
    generator = np.random.default_rng(0)
    peaks = {"half": 0.5, "full": 1.0, "over": 1.01, "twice": 2.0, "more": 5.3, "absurd": 1e30}
    clips = {}
    for name, peak in peaks.items():
        clips[name] = generator.uniform(-1, 1, 700_000).astype(np.float32)  # several blocks
        clips[name][600_000] = -1
        clips[name] *= np.float32(peak)
        soundfile.write(tmp_path / f"{name}.wav", clips[name], 16000, subtype="FLOAT")
    corpus = manifest_of([tmp_path / f"{name}.wav" for name in clips])
    store = open_waveforms(corpus, tmp_path)
    assert [entry.scale for entry in entries(store.path)] == [1 << 30, 1, 1, 8, 2, 2]  # by name
    conditions = Conditions(bandwidth_hz=3000, loudness_db=-1)
    conditioned = open_waveforms(corpus, tmp_path, conditions=conditions)
    for row, (name, clip) in enumerate(clips.items()):
        whole = store.read(row)
        np.testing.assert_array_equal(whole, audio.read_audio(corpus.table["path"][row], 16000))
        np.testing.assert_array_equal(store.read(row, 599_000, 2000), whole[599_000:601_000])
        np.testing.assert_array_equal(conditioned.read(row), condition_clip(whole, 16000, conditions))
        if name != "absurd":
            step = {"over": 2, "twice": 2, "more": 8}.get(name, 1) / 32768
            # Half a step, and a whole one at the positive end, which 16 bits lack.
            np.testing.assert_allclose(whole, clip, atol=step if name in ("full", "twice") else 0.51 * step)
            rms = np.sqrt(np.mean(np.square(conditioned.read(row), dtype=np.float64)))
            assert 20 * np.log10(rms) == pytest.approx(-1, abs=2e-3)  # its peaks are far beyond full scale


def test_slices(tmp_path):
    store = open_waveforms(make_corpus(tmp_path, 3), tmp_path)
    whole = store.read(2)
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(store.read(2, 100, 50), whole[100:150])
    np.testing.assert_array_equal(store.read(2, 7990), whole[7990:])
    np.testing.assert_array_equal(store.read(2, 7990, 1000), whole[7990:])
    assert len(store.read(2, 8002, 10)) == 0
    for start in (-1, 8003):
        with pytest.raises(ValueError, match=f"Row 2 has 8002 samples, but was to be read from {start}"):
            store.read(2, start, 10)


@pytest.mark.usefixtures("small_parts")
def test_copies_and_forks_open_their_own_files_and_never_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr("dfx.audio.store.MAX_OPEN_FILES", 2)
    store = open_waveforms(make_corpus(tmp_path), tmp_path)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    whole = everything(store)
    assert len(os.listdir("/proc/self/fd")) == before + 2  # noqa: PTH208  # noqa: PTH208  # noqa: PTH208  # noqa: PTH208  # noqa: PTH208
    assert len(pickle.dumps(store)) < 20_000
    copy = pickle.loads(pickle.dumps(store))
    for one, other in zip(whole, everything(copy), strict=True):
        np.testing.assert_array_equal(one, other)
    pid = os.fork()
    if not pid:
        os._exit(0 if all(np.array_equal(*pair) for pair in zip(whole, everything(store), strict=True)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    del store, copy
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_fork_while_another_thread_reads_does_not_wait_for_it(tmp_path, monkeypatch):
    store = open_waveforms(make_corpus(tmp_path, 2), tmp_path)
    pread, reading, go_on = os.pread, threading.Event(), threading.Event()

    def slow(*args):
        reading.set()
        go_on.wait()
        return pread(*args)

    monkeypatch.setattr(os, "pread", slow)
    thread = threading.Thread(target=store.read, args=(0,))
    thread.start()
    reading.wait()
    pid = os.fork()
    if not pid:
        os.pread = pread
        signal.alarm(20)
        store.read(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    go_on.set()
    thread.join()
    assert status == 0


def test_a_part_cut_while_in_use_is_an_error_not_a_short_clip(tmp_path):
    store = open_waveforms(make_corpus(tmp_path), tmp_path)
    (data,) = store.path.glob("*.pcm")
    os.truncate(data, 20_000)
    with pytest.raises(ValueError, match=r"pcm ends early: it was changed while in use"):
        store.read(9)
    fresh = pickle.loads(pickle.dumps(store))
    parts.remove_part(store.path, data.stem)
    with pytest.raises(ValueError, match=r"Row 9 is gone from .*: it was changed while in use"):
        fresh.read(9)


# What is decoded, and what is not


def test_each_recording_is_decoded_once_whatever_asks_for_it(tmp_path, capsys):
    corpus = make_corpus(tmp_path, 6)
    folder = tmp_path / "cache" / "waveforms" / "v3-16000"
    for rows, decoded in (((0, 1, 2), 3), ((3, 4, 5), 6), (range(6), 6), (range(5), 6), ((5, 0, 5, 3), 6)):
        chosen = rows_of(corpus, *rows)
        capsys.readouterr()
        assert_holds(open_waveforms(chosen, tmp_path), chosen)
        assert len(entries(folder)) == decoded
        assert ("Decoding" in capsys.readouterr().err) == (tuple(rows) in ((0, 1, 2), (3, 4, 5)))
    grown = make_corpus(tmp_path, 7)  # the first six are written again: other times
    assert_holds(open_waveforms(grown, tmp_path), grown)
    assert len(entries(folder)) == 6 + 7


def test_another_rate_and_a_changed_file(tmp_path):
    corpus = make_corpus(tmp_path, 2)
    first = open_waveforms(corpus, tmp_path)
    other = open_store(corpus, 8000, cache=tmp_path / "cache", num_workers=0, progress=False)
    assert other.path.name == "v3-8000"
    soundfile.write(corpus.table["path"][0], np.zeros(400, np.int16), 16000)
    assert open_waveforms(corpus, tmp_path).read(0).tolist() == [0] * 400
    assert len(entries(first.path)) == 3


def test_a_file_that_changes_while_it_is_decoded_is_decoded_again(tmp_path, monkeypatch):
    corpus = make_corpus(tmp_path, 3)
    read_pcm, times = audio.read_pcm, [1]

    def changing(path, *how):
        yield from read_pcm(path, *how)
        if path.endswith("001.wav") and times:
            soundfile.write(path, np.full(300, times.pop(), np.int16), 16000)

    monkeypatch.setattr(audio, "read_pcm", changing)
    store = open_waveforms(corpus, tmp_path)
    assert store.lengths.tolist() == [8000, 300, 8002]
    assert_holds(store, corpus)
    times.extend(range(2, 9))
    os.utime(corpus.table["path"][1], (1, 1))
    store = open_waveforms(corpus, tmp_path, max_bad_fraction=1)
    assert store.bad["reason"].str.startswith("it was changed while it was decoded, three times").all()
    times.clear()
    assert_holds(open_waveforms(corpus, tmp_path), corpus)


@pytest.mark.usefixtures("small_parts")
def test_worker_processes_give_the_same_store(tmp_path, monkeypatch):
    corpus = make_corpus(tmp_path)
    alone = everything(open_waveforms(corpus, tmp_path / "a"))
    monkeypatch.setattr(store_builder, "FEW_BYTES", 0)
    together = open_waveforms(corpus, tmp_path / "b", num_workers=2)
    for one, other in zip(alone, everything(together), strict=True):
        np.testing.assert_array_equal(one, other)


# Decoders that crash, hang or are killed

PLANTED = """
import ctypes, os, signal, soundfile

class Planted(soundfile.SoundFile):
    def __init__(self, file, *args, **kwargs):
        name = os.path.basename(os.fsdecode(file))
        with open(os.environ["OPENED"], "a") as log:
            log.write(f"{name}\\n")
        if "crashes" in name:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "is killed" in name:
            os.kill(os.getpid(), signal.SIGKILL)
        if "hangs" in name:
            ctypes.PyDLL(None).sleep(60)  # a call into C that keeps the interpreter to itself
        super().__init__(file, *args, **kwargs)

soundfile.SoundFile = Planted
"""


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Plants into worker processes a decoder that crashes or hangs at files of such a name; lists what it opened."""
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "sitecustomize.py").write_text(PLANTED)  # Python runs it at its start
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "planted"))
    monkeypatch.setenv("OPENED", str(tmp_path / "opened.txt"))
    return lambda: (tmp_path / "opened.txt").read_text().splitlines()


def make_corpus_with(folder, names):
    """Ten clips, some under another name."""
    paths = [Path(path) for path in make_corpus(folder).table["path"]]
    for number, name in names.items():
        paths[number] = paths[number].rename(folder / f"clip {number:03d} {name}.wav")
    return manifest_of(paths)


def test_files_that_crash_a_decoder_are_listed_and_cost_nothing_else(tmp_path, opened, capsys, monkeypatch):
    corpus = make_corpus_with(tmp_path, {2: "crashes", 3: "crashes", 9: "crashes"})
    store = open_waveforms(corpus, tmp_path, num_workers=None, max_bad_fraction=0.5)
    assert store.lengths.tolist() == [8000, 8001, -1, -1, 8004, 8005, 8006, 8007, 8008, -1]
    assert store.bad["reason"].str.startswith("its decoder crashed (signal 11, SIGSEGV) [limit 120 to 7200 s, ").all()
    for row in (0, 1, 4, 8):
        np.testing.assert_array_equal(store.read(row), soundfile.read(corpus.table["path"][row], dtype="float32")[0])
    assert max(opened().count(name) for name in set(opened())) == 2  # the second time alone
    assert f"Left out: {corpus.table['path'][2]}: its decoder crashed" in capsys.readouterr().err
    assert {path.suffix for path in store.path.iterdir()} == {".pcm", ".parquet", ".csv"}
    # They are not tried again until the limits change, or until the store is verified.
    count = len(entries(store.path))
    assert open_waveforms(corpus, tmp_path, max_bad_fraction=0.5).bad.equals(store.bad)
    assert len(entries(store.path)) == count
    monkeypatch.setattr(parts, "FILE_SECONDS", 60.0)
    assert_holds(open_waveforms(corpus, tmp_path), corpus)


@pytest.mark.usefixtures("opened")
def test_a_file_that_hangs_its_decoder_is_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "FILE_SECONDS", 0.5)
    corpus = make_corpus_with(tmp_path, {4: "hangs"})
    store = open_waveforms(corpus, tmp_path, num_workers=1, max_bad_fraction=0.5)
    (reason,) = store.bad["reason"]
    assert reason.startswith("decoding it took longer than 0.821 s: convert it to WAV, or leave it out [limit 0.5 to ")
    assert store.lengths.tolist()[3:6] == [8003, -1, 8005]
    # With the limit of the user, which says how to raise it, and is the reason to try again.
    store = open_waveforms(corpus, tmp_path, num_workers=1, max_bad_fraction=0.5, limits=DecodingLimits(seconds=0.3))
    (reason,) = store.bad["reason"]
    assert reason.startswith("decoding it took longer than 0.3 s: convert it to WAV, or raise limits.seconds [limit ")
    assert " to 0.3 s, 24 h, 1024 MiB, soundfile " in reason


@pytest.mark.usefixtures("opened")
def test_a_decoder_that_crashes_at_everything_is_not_the_fault_of_the_files(tmp_path, monkeypatch):
    monkeypatch.setattr(store_builder, "MOST_CRASHES", 1)
    corpus = make_corpus_with(tmp_path, {3: "crashes", 4: "crashes"})
    with pytest.raises(ValueError, match=r"More than 1 files crash or hang their decoder, the last one .*crashes"):
        open_waveforms(corpus, tmp_path, num_workers=1)


@pytest.mark.usefixtures("opened", "small_parts")
def test_a_worker_killed_from_outside_is_not_the_fault_of_its_file(tmp_path):
    corpus = make_corpus_with(tmp_path, {4: "is killed"})
    with pytest.raises(ValueError, match=r"ended from outside, twice \(signal 9, SIGKILL\): most likely the memory"):
        open_waveforms(corpus, tmp_path, num_workers=1)
    folder = tmp_path / "cache" / "waveforms" / "v3-16000"
    assert len(parts.part_names(folder)) >= 2  # what is finished is kept
    assert {path.suffix for path in folder.iterdir()} == {".pcm", ".parquet"}


# Builds that are killed or interrupted, and several at the same time

BUILD = """
    parts.MIN_BATCH_BYTES, store_builder.FEW_BYTES = 32 << 10, 0
    print("ready", flush=True)
    sys.stdin.readline()
    made = {call}, cache=folder / "cache", num_workers={workers}, progress=False)
    print({result}, flush=True)
"""
WHOLE = BUILD.replace("{call}", "store.open_store(corpus, 16000").replace("{result}", "len(made)")
SHARD = BUILD.replace("{call}", "store.build_store_shard(corpus, 16000, {shard}, 2").replace("{result}", "made[1:4]")


def start_together(folder, bodies):
    """Scripts that begin their work at the same moment."""
    runs = [run_script(folder, body) for body in bodies]
    for run in runs:
        assert run.stdout.readline() == "ready\n"
    for run in runs:
        run.stdin.write("\n")
        run.stdin.flush()
    return runs


@pytest.mark.parametrize(
    ("count", "num_kills", "most_seconds"), [(200, 1, 1.0), pytest.param(2000, 5, 4.0, marks=pytest.mark.slow)]
)
def test_a_killed_build_is_finished_by_the_next(tmp_path, count, num_kills, most_seconds):
    corpus = make_corpus(tmp_path, count)
    generator = np.random.default_rng(0)
    for _ in range(num_kills):  # at a random moment
        (run,) = start_together(tmp_path, [WHOLE.format(workers=2)])
        time.sleep(generator.uniform(0.3, most_seconds))
        children = psutil.Process(run.pid).children(recursive=True)
        run.kill()
        run.communicate(timeout=10)
        assert not psutil.wait_procs(children, timeout=10)[1]  # they went along
    store = open_waveforms(corpus, tmp_path)
    assert_holds(store, corpus)
    assert len({entry.path for entry in entries(store.path)}) == count
    assert store_upkeep.verify_store(store.path)[1] == 0


def test_builds_at_the_same_time_decode_nothing_twice(tmp_path):
    corpus = make_corpus(tmp_path, 60)
    Path(corpus.table["path"][5]).write_bytes(b"no audio")
    whole = WHOLE.replace("progress", "max_bad_fraction=0.1, progress").format(workers=0)
    runs = start_together(tmp_path, [whole, whole, SHARD.format(shard=1, workers=0)])
    told = [run.communicate(timeout=60)[0] for run in runs]
    assert told[:2] == ["60\n"] * 2
    assert told[2].startswith("(30, ")
    store = open_waveforms(corpus, tmp_path, max_bad_fraction=0.1)
    made = [entry.path for entry in entries(store.path)]
    assert len(made) == len(set(made)) == 60
    alone = open_waveforms(corpus, tmp_path / "alone", max_bad_fraction=0.1)
    assert alone.bad["reason"].equals(store.bad["reason"])
    for row in set(range(60)) - {5}:
        np.testing.assert_array_equal(store.read(row), alone.read(row))


@pytest.mark.usefixtures("small_parts")
def test_shards_and_what_they_leave(tmp_path):
    corpus = make_corpus(tmp_path)
    options = {"cache": tmp_path / "cache", "num_workers": 0, "progress": False}
    first = build_store_shard(corpus, 16000, 0, 2, **options)
    assert first[1:] == (6, 6, 0, False)
    assert build_store_shard(corpus, 16000, 0, 2, **options)[1:] == (6, 0, 0, False)
    assert_holds(open_waveforms(corpus, tmp_path), corpus)
    assert build_store_shard(corpus, 16000, 1, 2, **options) == (first.path, 4, 0, 0, True)
    assert build_store_shard(corpus, 16000, 7, 8, **options)[1:] == (0, 0, 0, True)  # more shards than parts


def test_an_interrupt_ends_the_workers_and_leaves_nothing_unfinished(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(parts, "MIN_BATCH_BYTES", 32 << 10)
    monkeypatch.setattr("rich.progress.Progress.advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_waveforms(make_corpus(tmp_path), tmp_path, num_workers=1)
    assert not [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
    folder = tmp_path / "cache" / "waveforms" / "v3-16000"
    assert {path.suffix for path in folder.iterdir()} == {".pcm", ".parquet"}


def test_only_what_nobody_writes_any_more_is_removed(tmp_path):
    store = open_waveforms(make_corpus(tmp_path, 2), tmp_path)
    for name in (".tmp-new.pcm", "new.pcm", ".tmp-old.pcm", "old.pcm"):
        (store.path / name).touch()
        if "old" in name:
            os.utime(store.path / name, (time.time() - 7200,) * 2)
    (data,) = (path for path in store.path.glob("*.pcm") if path.stat().st_size)
    os.utime(data, (time.time() - 7200,) * 2)
    parts.remove_abandoned_parts(store.path)
    assert {path.name for path in store.path.glob("*.pcm")} == {data.name, "new.pcm", ".tmp-new.pcm"}


def test_a_lock_that_is_held_is_not_removed_however_old(tmp_path):
    held, free = tmp_path / "held.lock", tmp_path / "free.lock"
    free.touch()
    with filelock.FileLock(held):
        for path in (held, free):
            os.utime(path, (time.time() - 7200,) * 2)
        parts.remove_abandoned_parts(tmp_path)
        assert list(tmp_path.iterdir()) == [held]


# Damage, and upkeep


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "suffix"),
    [
        (flip_a_byte, "pcm"),
        (lambda path: os.truncate(path, 100), "pcm"),
        (lambda path: os.truncate(path, 100), "parquet"),
        (lambda path: path.unlink(), "pcm"),
        (lambda path: path.unlink(), "parquet"),
    ],
)
@pytest.mark.usefixtures("small_parts")
def test_a_damaged_part_is_made_again_alone(tmp_path, capsys, damage, suffix):
    corpus = make_corpus(tmp_path)
    store = open_waveforms(corpus, tmp_path)
    before = parts.part_names(store.path)
    damage(store.path / f"{before[3]}.{suffix}")
    capsys.readouterr()
    assert_holds(open_waveforms(corpus, tmp_path), corpus)
    assert "Decoding 2 files" in capsys.readouterr().err
    assert set(before) - set(parts.part_names(store.path)) == {before[3]}


@pytest.mark.usefixtures("small_parts")
def test_verify_removes_a_part_with_a_wrong_checksum(tmp_path):
    corpus = make_corpus(tmp_path)
    store = open_waveforms(corpus, tmp_path)
    flip_a_byte(next(store.path.glob("*.pcm")))
    assert store_upkeep.verify_store(store.path) == (5, 1)
    assert store_upkeep.verify_store(store.path) == (4, 0)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EMFILE, errno.ESTALE])
@pytest.mark.usefixtures("small_parts")
def test_a_part_that_the_system_does_not_open_is_not_damaged(tmp_path, monkeypatch, code):
    corpus = make_corpus(tmp_path)
    store = open_waveforms(corpus, tmp_path)

    def fails(path):
        raise OSError(code, os.strerror(code), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", fails)
        for use in (
            lambda: open_waveforms(corpus, tmp_path),
            lambda: store_upkeep.verify_store(store.path),
            lambda: store_upkeep.clean_store(store.path, confirm=True),
            lambda: store_upkeep.compact_store(store.path),
        ):
            with pytest.raises(OSError, match=re.escape(os.strerror(code))):
                use()
    assert len(parts.part_names(store.path)) == 5
    with monkeypatch.context() as patched:  # nor is the folder empty
        patched.setattr(os, "listdir", fails)
        with pytest.raises(OSError, match=re.escape(os.strerror(code))):
            open_waveforms(corpus, tmp_path)
    assert_holds(store, corpus)


@pytest.mark.usefixtures("small_parts")
def test_what_vanishes_while_it_is_made_is_made_again_and_never_a_bad_file(tmp_path, monkeypatch):
    corpus, write_table, left = make_corpus(tmp_path), parts.write_part_table, [2]

    def lossy(folder, name, rows, unit_bytes):
        write_table(folder, name, rows, unit_bytes)
        if left[0]:
            left[0] -= 1
            os.truncate(folder / f"{name}.pcm", 10)

    monkeypatch.setattr(parts, "write_part_table", lossy)
    assert_holds(open_waveforms(corpus, tmp_path), corpus)
    left[0] = 1000
    with pytest.raises(ValueError, match=r"10 waveforms vanished from .*/v3-16000 .* 3 times, .*clip 000"):
        open_waveforms(corpus, tmp_path / "other", max_bad_fraction=1)


@pytest.mark.usefixtures("small_parts")
def test_clips_are_conditioned_although_their_parts_are_merged_meanwhile(tmp_path, monkeypatch):
    corpus, conditions = make_corpus(tmp_path), Conditions(loudness_db=-30)
    expected = everything(open_waveforms(corpus, tmp_path, conditions=conditions))
    store = open_waveforms(corpus, tmp_path / "other")
    build_parts = store_builder.build_store_parts

    def merged_first(*args):
        assert store_upkeep.compact_store(store.path) == 4
        return build_parts(*args)

    monkeypatch.setattr(store_builder, "build_store_parts", merged_first)
    found = everything(open_waveforms(corpus, tmp_path / "other", conditions=conditions))
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("small_parts")
def test_tidying_up_goes_on_behind_a_damaged_part(tmp_path, capsys):
    corpus = make_corpus(tmp_path)
    store = open_waveforms(corpus, tmp_path)
    os.truncate(store.path / f"{parts.part_names(store.path)[1]}.pcm", 10)
    assert store_upkeep.clean_store(store.path, confirm=True) == (0, 0, 0)
    assert "verify=true" in capsys.readouterr().err
    assert store_upkeep.compact_store(store.path) == 4
    assert len(entries(store.path)) == 8
    assert_holds(open_waveforms(corpus, tmp_path), corpus)


@pytest.mark.usefixtures("small_parts")
def test_small_parts_are_merged_and_a_reader_opens_again(tmp_path):
    corpus = make_corpus(tmp_path)
    reader = open_waveforms(corpus, tmp_path)
    open_waveforms(corpus, tmp_path / "other")
    for path in (tmp_path / "other" / "cache" / "waveforms" / "v3-16000").iterdir():
        shutil.copy(path, reader.path)  # every recording twice, as by hosts without working locks
    assert_holds(open_waveforms(corpus, tmp_path), corpus)
    reader.read(0)
    assert store_upkeep.compact_store(reader.path) == 9
    assert len(parts.part_names(reader.path)) == 1
    assert len(entries(reader.path)) == 10
    assert_holds(reader, corpus)
    assert_holds(open_waveforms(corpus, tmp_path), corpus)
    assert store_upkeep.compact_store(reader.path) == 0
    assert store_upkeep.verify_store(reader.path) == (1, 0)


@pytest.mark.usefixtures("small_parts")
def test_a_row_that_is_gone_after_another_was_noticed_has_no_sound_of_others(tmp_path):
    store = open_waveforms(make_corpus(tmp_path), tmp_path)
    for name, recordings in tables(store.path).items():
        if {entry.path[-7:] for entry in recordings} & {b"000.wav", b"005.wav"}:
            parts.remove_part(store.path, name)
    for row in (0, 5, 0):  # the first failure reads the catalogue again
        with pytest.raises(ValueError, match=rf"Row {row} is gone from .*: it was changed while in use"):
            store.read(row)
    np.testing.assert_array_equal(store.read(9), soundfile.read(tmp_path / "clip 009.wav", dtype="float32")[0])


def test_a_thread_does_not_read_while_another_opens_the_parts_again(tmp_path, monkeypatch):
    store = open_waveforms(make_corpus(tmp_path), tmp_path)
    expected, refresh = everything(store), part_catalogue.PartCatalogue.refresh
    reader = pickle.loads(pickle.dumps(store))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store_upkeep, "SMALL_BYTES", 1 << 30)
        shutil.copy(store.path / f"{parts.part_names(store.path)[0]}.pcm", store.path / "0.pcm")
        shutil.copy(store.path / f"{parts.part_names(store.path)[0]}.parquet", store.path / "0.parquet")
        assert store_upkeep.compact_store(store.path) == 1
    reloading, go_on, found = threading.Event(), threading.Event(), {}

    def slow(catalogue):
        reloading.set()
        go_on.wait(10)
        refresh(catalogue)

    monkeypatch.setattr(part_catalogue.PartCatalogue, "refresh", slow)
    threads = [threading.Thread(target=lambda row=row: found.update({row: reader.read(row)})) for row in (3, 7)]
    threads[0].start()
    reloading.wait(10)
    threads[1].start()
    threads[1].join(0.2)
    go_on.set()
    for thread in threads:
        thread.join()
    for row in (3, 7):
        np.testing.assert_array_equal(found[row], expected[row])


def test_a_part_that_another_host_has_merged_is_looked_for_again(tmp_path, monkeypatch):
    store = open_waveforms(make_corpus(tmp_path, 2), tmp_path)
    expected, pread, stale = store.read(0), os.pread, [True]

    def once(*args):
        if stale.pop() if stale else False:  # what NFS says of an open file that another host has removed
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return pread(*args)

    monkeypatch.setattr(os, "pread", once)
    np.testing.assert_array_equal(store.read(0), expected)
    assert not stale


@pytest.mark.usefixtures("small_parts")
def test_what_belongs_to_no_file_is_listed_and_then_removed(tmp_path):
    (tmp_path / "disk").mkdir()
    away = make_corpus(tmp_path / "disk", 2)
    corpus = make_corpus(tmp_path, 8)
    store = open_waveforms(Manifest(pd.concat([corpus.table, away.table.assign(id=["x", "y"])])), tmp_path)
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    Path(corpus.table["path"][0]).unlink()
    soundfile.write(corpus.table["path"][3], np.zeros(10, np.int16), 16000)
    expected = (2, 2 * (8000 + 8003), 2)
    assert store_upkeep.clean_store(store.path, confirm=False) == expected
    assert len(entries(store.path)) == 10
    assert store_upkeep.clean_store(store.path, confirm=True) == expected
    assert len(entries(store.path)) == 8
    assert store_upkeep.clean_store(store.path, confirm=True) == (0, 0, 2)
    rest = rows_of(corpus, 1, 2, 4, 5, 6, 7)
    assert_holds(open_waveforms(rest, tmp_path), rest)
    assert len(entries(store.path)) == 8
    assert store_upkeep.store_folders(tmp_path / "cache") == [store.path]


# Bad files, and disks


def test_bad_files_are_listed_and_the_rest_goes_on(tmp_path):
    corpus = make_corpus(tmp_path, 5)
    paths = [Path(path) for path in corpus.table["path"]]
    paths[0].unlink()
    paths[2].write_bytes(b"")
    soundfile.write(paths[3], np.array([0.1, np.nan, 0.1]), 16000, subtype="FLOAT")
    soundfile.write(paths[4], np.zeros(100), 16000)
    with pytest.raises(
        ValueError, match=r"3 of 5 files \(60.0%\) are bad, more than max_bad_fraction 1.0% allows: "
    ) as e:
        open_waveforms(corpus, tmp_path)
    assert f"{paths[0]}: the file does not exist; {paths[2]}: the file is empty" in str(e.value)
    store = open_waveforms(corpus, tmp_path, max_bad_fraction=0.6)
    assert str(store.bad_files) in str(e.value)
    assert store.lengths.tolist() == [-1, 8001, -1, -1, 100]
    expected = ["the file does not exist", "the file is empty (0 bytes)", "it holds NaN or infinite samples"]
    assert store.bad["reason"].tolist() == expected
    assert store.bad["id"].tolist() == [paths[i].name for i in (0, 2, 3)]
    pd.testing.assert_frame_equal(pd.read_csv(store.bad_files), store.bad, check_dtype=False)
    assert len(store.read(1)) == 8001
    assert store.read(4).tolist() == [0] * 100
    with pytest.raises(ValueError, match="Row 3 is a bad file"):
        store.read(3)
    reversed_rows = open_waveforms(Manifest(corpus.table.iloc[::-1]), tmp_path, max_bad_fraction=1)
    assert reversed_rows.bad["reason"].tolist() == expected[::-1]


def test_a_list_of_bad_files_is_written_once(tmp_path):
    """Or a cache that is shared, and read-only, could not be used."""
    corpus = make_corpus(tmp_path, 3)
    Path(corpus.table["path"][0]).write_bytes(b"")
    listed = open_waveforms(corpus, tmp_path, max_bad_fraction=1).bad_files
    before = listed.stat()
    assert open_waveforms(corpus, tmp_path, max_bad_fraction=1).bad_files == listed
    assert listed.stat().st_ino == before.st_ino
    renamed = Manifest(corpus.table.assign(id=["a", "b", "c"]))
    assert pd.read_csv(open_waveforms(renamed, tmp_path, max_bad_fraction=1).bad_files)["id"].tolist() == ["a"]


def test_a_file_that_could_not_be_read_is_tried_again_after_verify(tmp_path, monkeypatch):
    corpus = make_corpus(tmp_path, 3)
    read_pcm = audio.read_pcm

    def fails(path, *how):
        yield from read_pcm(path, *how)
        if path.endswith("clip 001.wav"):
            raise audio.AudioError(path, "input/output error", may_pass=True)

    with monkeypatch.context() as patched:
        patched.setattr(audio, "read_pcm", fails)
        store = open_waveforms(corpus, tmp_path, max_bad_fraction=1)
    assert store.lengths.tolist() == [8000, -1, 8002]  # it leaves nothing behind
    np.testing.assert_array_equal(store.read(2), soundfile.read(corpus.table["path"][2], dtype="float32")[0])
    assert store.bad["reason"].str.startswith("input/output error [limit ").all()
    assert store_upkeep.verify_store(store.path) == (1, 0)
    assert_holds(open_waveforms(corpus, tmp_path), corpus)


@pytest.mark.parametrize("limit", [{"hours": 48}, {"seconds": 9000}, {"memory_mib": 2048}])
def test_a_file_that_a_limit_ended_is_tried_again_with_another_limit(tmp_path, monkeypatch, limit):
    corpus = make_corpus(tmp_path, 2)

    def fails(path, *_):
        yield from ()
        raise audio.AudioError(path, "it is too large", may_pass=True)

    with monkeypatch.context() as patched:
        patched.setattr(audio, "read_pcm", fails)
        assert len(open_waveforms(corpus, tmp_path, max_bad_fraction=1).bad) == 2
    assert len(open_waveforms(corpus, tmp_path, max_bad_fraction=1).bad) == 2
    assert_holds(open_waveforms(corpus, tmp_path, limits=DecodingLimits(**limit)), corpus)


def test_missing_and_empty_files_have_no_negative_size(tmp_path, capsys):
    (tmp_path / "empty.wav").touch()
    with pytest.raises(ValueError, match=r"2 of 2 files \(100.0%\) are bad"):
        open_waveforms(manifest_of([tmp_path / "none.wav", tmp_path / "empty.wav"]), tmp_path)
    assert "Decoding 2 files (0.0 MiB), once, in" in capsys.readouterr().err


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize("num_workers", [0, 1])
def test_too_small_a_disk_is_noticed_before_anything_is_written(tmp_path, free_bytes, num_workers):
    corpus = make_corpus_with(tmp_path, {3: "crashes"} if num_workers else {})
    free_bytes(100_000)
    with pytest.raises(
        ValueError, match=r"10 files \(0.2 MiB\) take about 0.[23] MiB as 16000 Hz waveforms, but .* has 0.1 MiB free"
    ):
        open_waveforms(corpus, tmp_path, num_workers=num_workers)
    assert not list(tmp_path.glob("cache/waveforms/*/*"))


@pytest.mark.usefixtures("small_parts")
def test_a_disk_that_fills_up_gives_a_sentence_and_loses_nothing(tmp_path, monkeypatch):
    corpus = make_corpus(tmp_path)
    read_pcm, read = audio.read_pcm, list[str]()

    def full(path, *how):
        read.append(path)
        yield from read_pcm(path, *how)
        if len(read) == 6:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(audio, "read_pcm", full)
        with pytest.raises(ValueError, match=r"The disk filled up while waveforms were written to .*Free some room"):
            open_waveforms(corpus, tmp_path)
    folder = tmp_path / "cache" / "waveforms" / "v3-16000"
    kept = parts.part_names(folder)
    assert len(entries(folder)) == 4
    assert len(list(folder.iterdir())) == 4  # two parts, and nothing unfinished
    assert_holds(open_waveforms(corpus, tmp_path), corpus)
    assert set(kept) < set(parts.part_names(folder))


def test_batches_cover_every_file_and_are_of_like_size():
    generator = np.random.default_rng(0)
    for sizes in (
        np.array([-1]),
        generator.integers(-1, 10, 1000),
        generator.integers(50_000, 300_000, 20_000),
        np.full(3, 200 << 20),
        generator.integers(0, 500 << 20, 5000),
    ):
        groups = parts.part_batches(sizes)
        np.testing.assert_array_equal(np.concatenate(groups), np.arange(len(sizes)))
        for group in groups:
            assert len(group)
            assert sizes[group[:-1]].sum() <= parts.MAX_BATCH_BYTES
    assert [group.tolist() for group in parts.part_batches(np.full(3, 200 << 20))] == [[0], [1], [2]]


@pytest.mark.slow
def test_two_hours_in_bounded_memory(tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(16, np.int16), 22050)
    size = 2 * 3600 * 22050 * 2
    header = bytearray(path.read_bytes()[:44])
    header[4:8] = (size + 36).to_bytes(4, "little")
    header[40:44] = size.to_bytes(4, "little")
    path.write_bytes(header)
    os.truncate(path, 44 + size)  # a sparse file: two hours of silence
    manifest_of([path]).write(tmp_path / "m.csv")
    body = """
        from dfx.audio.conditioning import Conditions
        import pyarrow.parquet, scipy.signal
        def peak():  # not ru_maxrss, which begins with the peak of the parent
            return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
        before = peak()
        for conditions in (Conditions(), Conditions(3000, 30, -23)):
            made = store.open_store(corpus, 16000, conditions, folder / "cache", num_workers=0, progress=False)
            made.read(0, 3600 * 16000, 64000)
        print(made.lengths[0], peak() - before)
    """
    run = run_script(tmp_path, textwrap.dedent(body))
    out, err = run.communicate(timeout=120)
    length, kibibytes = map(int, out.split())
    assert length == 2 * 3600 * 16000, err
    assert kibibytes < 64 << 10  # the waveform is 230 MB as 16-bit samples, 460 MB as float32


def test_a_header_does_not_decide_how_much_memory_a_worker_takes(tmp_path, opened):
    corpus = make_corpus(tmp_path)
    path = Path(corpus.table["path"][3])
    data = path.read_bytes()
    claim = b"LIST" + struct.pack("<I", 2_000_000_000) + b"INFOIART" + struct.pack("<I", 1_900_000_000) + bytes(100)
    path.write_bytes(data[:36] + claim + data[36:])  # before the samples
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    store = open_waveforms(corpus, tmp_path, num_workers=1, max_bad_fraction=0.5)
    assert np.flatnonzero(store.lengths < 0).tolist() == [3]
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss <= max(before, 1_400_000)  # KiB


@pytest.mark.parametrize("memory_mib", [1, 4, 16])
def test_a_worker_of_little_memory_gives_reasons_and_another_limit_tries_again(tmp_path, memory_mib):
    corpus = make_corpus(tmp_path)
    soundfile.write(corpus.table["path"][3], np.zeros((300_000, 40), np.int16), 16000)
    given = {"num_workers": 1, "max_bad_fraction": 1}
    store = open_waveforms(corpus, tmp_path, **given, limits=DecodingLimits(memory_mib=memory_mib))
    reasons = store.bad["reason"].str.partition(" [limit ")
    assert reasons[2].str.contains(f" h, {memory_mib} MiB, ").all()
    assert reasons[0].str.startswith("decoding it takes too much memory (").all()
    assert reasons[0].str.endswith("): convert it to WAV (limit: limits.memory_mib)").all()
    assert 3 in np.flatnonzero(store.lengths < 0)
    store = open_waveforms(corpus, tmp_path, **given)
    assert store.bad.empty
    assert store.lengths[3] == 300_000


def test_a_clip_of_weeks_is_a_bad_file(tmp_path):
    corpus = make_corpus(tmp_path)
    soundfile.write(corpus.table["path"][3], np.zeros(40_000, np.int16), 1000)  # 40 s
    store = open_waveforms(corpus, tmp_path, max_bad_fraction=0.5, limits=DecodingLimits(hours=0.01))
    assert np.flatnonzero(store.lengths < 0).tolist() == [3]
    (reason,) = store.bad["reason"]
    assert reason.startswith("it is longer than 0.01 hours (limits.hours): cut it into pieces [limit 120 to ")
    assert " s, 0.01 h, 1024 MiB, soundfile " in reason
    assert open_waveforms(corpus, tmp_path).lengths[3] == 640_000
    # What another command has decoded does not decide.
    for given in ({}, {"conditions": Conditions(loudness_db=-30.0)}):
        store = open_waveforms(corpus, tmp_path, max_bad_fraction=0.5, limits=DecodingLimits(hours=0.01), **given)
        assert np.flatnonzero(store.lengths < 0).tolist() == [3]
        assert store.bad["reason"][0] == reason


def test_the_limits_of_the_commands_are_those_of_the_functions():
    assert DecodingLimits(**composed().limits) == DecodingLimits()
