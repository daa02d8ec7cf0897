"""Damaged audio of every format: each file decodes or says why not; nothing crashes, hangs or fills the memory."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from dfx import audio
from dfx.audio.store import open_store
from dfx.tables.manifest import Manifest
from setups import write_sound

SECONDS = 20  # for each file; the slowest takes a tenth of one
LONGEST = 120 * 16000  # samples; 88 kB read as AMR, of which a frame of 20 ms may be a single byte, are a minute
PEAK_MIB = 512

# In a process of its own, since a decoder may crash; prints length or reason of each file, then the peak of memory.
READ = f"""
import json, signal, sys
from pathlib import Path
from dfx import audio
for path in sorted(Path(sys.argv[1]).iterdir()):
    signal.setitimer(signal.ITIMER_REAL, {SECONDS})
    print(path.name, end="\\t", flush=True)
    try:
        print(json.dumps([sum(map(len, audio.read_audio_blocks(path, 16000))), ""]))
    except audio.AudioError as error:
        print(json.dumps([-1, error.reason]))
    try:
        info = audio.probe_audio(path)
        assert info.num_samples >= 0 and 1000 <= info.sample_rate <= 768000 and info.channels > 0, info
    except audio.AudioError:
        pass
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""

RATE = 22050
SOUNDFILE = {  # suffix and subtype of what libsndfile writes
    "pcm16.wav": "PCM_16",
    "pcm24.wav": "PCM_24",
    "pcm32.wav": "PCM_32",
    "pcm8.wav": "PCM_U8",
    "float.wav": "FLOAT",
    "double.wav": "DOUBLE",
    "ulaw.wav": "ULAW",
    "ima.wav": "IMA_ADPCM",
    "ms.wav": "MS_ADPCM",
    "gsm.wav": "GSM610",
    "pcm16.flac": "PCM_16",
    "pcm24.flac": "PCM_24",
    "vorbis.ogg": "VORBIS",
    "a.opus": "OPUS",
    "a.mp3": "MPEG_LAYER_III",
    "a.aiff": "PCM_16",
    "a.au": "PCM_16",
    "a.caf": "PCM_16",
    "a.w64": "PCM_16",
    "a.rf64": "PCM_16",
    "a.voc": "PCM_16",
    "a.nist": "PCM_16",
}
NAMES = {".opus": "OGG"}  # formats of libsndfile that are not called like the suffix
PYAV = {  # encoder and rate of what FFmpeg writes
    "a.m4a": ("aac", 22050),
    "film.mp4": ("aac", 22050),
    "alac.m4a": ("alac", 22050),
    "a.aac": ("aac", 22050),
    "a.mkv": ("aac", 22050),
    "a.webm": ("libopus", 24000),
    "a.wma": ("wmav2", 22050),
    "a.amr": ("libopencore_amrnb", 8000),
    "a.3gp": ("libopencore_amrnb", 8000),
    "a.avi": ("libmp3lame", 22050),
    "a.ac3": ("ac3", 48000),
    "a.wv": ("wavpack", 22050),
    "a.tta": ("tta", 22050),
    "ffmpeg.flac": ("flac", 22050),
    "ffmpeg.ogg": ("flac", 22050),
}


def seeds(folder):
    """A sound file of each format, half a second of noise, by name."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(24_000)
    for name, subtype in SOUNDFILE.items():
        suffix = Path(name).suffix
        rate = 24000 if suffix == ".opus" else RATE
        form = NAMES.get(suffix, suffix[1:].upper())
        channels = 2 if subtype in ("PCM_24", "FLOAT") else 1
        soundfile.write(folder / name, np.stack([noise[: rate // 2]] * channels, 1), rate, format=form, subtype=subtype)
    for name, (codec, rate) in PYAV.items():
        write_sound(folder / name, noise[: rate // 2], codec, rate, film=name.startswith("film"))
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def flip_bits(generator, content):
    changed = np.frombuffer(content, np.uint8).copy()
    # Half of the time in the header, where it hurts most.
    end = min(len(changed), 256) if generator.random() < 0.5 else len(changed)
    places = generator.integers(0, end, generator.choice([1, 3, 30]))
    changed[places] ^= (1 << generator.integers(0, 8, len(places))).astype(np.uint8)
    return changed.tobytes()


def truncate(generator, content):
    if generator.random() < 0.3:
        return content[: int(generator.integers(0, min(200, len(content))))]
    return content[: int(generator.integers(0, len(content)))]


def set_numbers(generator, content):
    """Extreme numbers of 2, 4 or 8 bytes at any place of the header: lengths, counts, offsets, bits."""
    changed = bytearray(content)
    for _ in range(int(generator.integers(1, 4))):
        size = int(generator.choice([2, 4, 8]))
        place = int(generator.integers(0, max(1, min(len(content), 2048) - size)))
        value = int(generator.choice([0, 1, 2 ** (4 * size), 2 ** (8 * size - 1) - 1]))
        order = "little" if generator.random() < 0.5 else "big"
        changed[place : place + size] = value.to_bytes(size, order)
    return pages(bytes(changed))


def zero(generator, content):
    start = int(generator.integers(0, len(content)))
    size = int(generator.choice([4, 64, 1024, 8192]))
    return content[:start] + bytes(min(size, len(content) - start)) + content[start + size :]


def swap(generator, content):
    a, b, c = np.sort(generator.integers(0, len(content), 3))
    return content[:a] + content[b:c] + content[a:b] + content[c:]


def noise(generator, content):
    """The beginning of the file, then noise."""
    kept = int(generator.choice([4, 8, 12, 16, 36, 44, 64, 128]))
    return content[:kept] + generator.bytes(int(generator.choice([0, 10, 1000, 30_000])))


def repeat(generator, content):
    return content * int(generator.integers(2, 5))


MUTATIONS = [flip_bits, truncate, set_numbers, zero, swap, noise, repeat]


def pages(content):
    """With the checksums of Ogg pages made right: a decoder would drop the pages, and the damage with them."""
    if not content.startswith(b"OggS"):
        return content
    changed, place = bytearray(content), 0
    while content[place : place + 4] == b"OggS" and place + 27 <= len(content):
        count = content[place + 26]
        end = place + 27 + count + sum(content[place + 27 : place + 27 + count])
        changed[place + 22 : place + 26] = bytes(4)
        value = 0
        for byte in changed[place:end]:
            value ^= byte << 24
            for _ in range(8):
                value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
        changed[place + 22 : place + 26] = struct.pack("<I", value)
        place = end
    return bytes(changed)


def mutated(good, count, seed):
    """Names and contents of damaged files; every format meets every mutation in turn."""
    generator = np.random.default_rng(seed)
    names = sorted(good)
    for number in range(count):
        name = names[number % len(names)]
        kind = number // len(names) % (len(MUTATIONS) + 2)
        other = names[int(generator.integers(len(names)))]
        if kind < len(MUTATIONS):
            content = MUTATIONS[kind](generator, good[name])
            label = MUTATIONS[kind].__name__
        elif kind == len(MUTATIONS):
            cut = int(generator.integers(0, len(good[name])))
            content, label = good[name][:cut] + good[other], "join"
        else:
            content, label = good[other], "suffix"
        if generator.random() < 0.2:
            content = flip_bits(generator, content) if content else content
        yield f"{number:05d} {label} {name}", content


def test_every_damaged_file_decodes_or_says_why(tmp_path):
    for name in ("good", "damaged"):
        (tmp_path / name).mkdir()
    good = seeds(tmp_path / "good")
    for name in good:
        assert len(audio.read_audio(tmp_path / "good" / name, 16000)) == pytest.approx(8000, abs=1600), name
    count = len(good) * (len(MUTATIONS) + 2)
    for name, content in mutated(good, count, seed=0):
        (tmp_path / "damaged" / name).write_bytes(content)

    source = str(Path(audio.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path / "damaged")],
        env=os.environ | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    *lines, peak = done.stdout.splitlines()
    assert done.returncode == 0, f"{done.returncode} at {peak}: {done.stderr[-2000:]}"
    assert int(peak) / 1024 < PEAK_MIB
    found = {name: json.loads(text) for name, text in (line.split("\t") for line in lines)}
    assert len(found) == count
    lengths = np.array([length for length, _ in found.values()])
    assert lengths.max() <= LONGEST
    assert all((length > 0) != bool(reason) for length, reason in found.values())
    assert 0.4 < (lengths > 0).mean() < 0.8  # most damage leaves something that decodes

    corpus = pd.DataFrame({"id": list(found), "label": 1, "split": "train"})
    corpus = corpus.assign(path=str(tmp_path / "damaged") + "/" + corpus["id"])
    store = open_store(Manifest(corpus), 16000, cache=tmp_path, max_bad_fraction=1, num_workers=2, progress=False)
    np.testing.assert_array_equal(store.lengths, lengths)
    reasons = [reason.partition(" [limit ")[0] for reason in store.bad["reason"]]  # such a file is tried again
    assert reasons == [reason for _, reason in found.values() if reason]
