import errno
import os
import pickle
import struct
import tracemalloc
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from dfx import audio
from dfx.audio import ffmpeg, read_write
from setups import write_sound


def tone(sample_rate, seconds, frequency=440.0):
    return (0.3 * np.sin(2 * np.pi * frequency * np.arange(round(sample_rate * seconds)) / sample_rate)).astype("f4")


def strongest(waveform, sample_rate):
    return float(np.abs(np.fft.rfft(waveform[:sample_rate])).argmax() * sample_rate / min(sample_rate, len(waveform)))


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_sixteen_bit_files_come_through_exact(tmp_path, suffix):
    samples = np.random.default_rng(0).integers(-32768, 32768, 50_001).astype(np.int16)
    samples[:2] = [-32768, 32767]
    soundfile.write(tmp_path / f"a{suffix}", samples, 16000)
    waveform = audio.read_audio(tmp_path / f"a{suffix}", 16000)
    assert waveform.dtype == np.float32
    np.testing.assert_array_equal(waveform, samples.astype(np.float32) / 32768)
    np.testing.assert_array_equal(audio.to_int16(waveform), samples)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_write_is_read_back_to_the_same_sixteen_bits(tmp_path, suffix):
    waveform = np.random.default_rng(0).uniform(-1.2, 1.2, 1000).astype(np.float32)
    audio.write_audio(tmp_path / "folder" / f"a{suffix}", waveform, 16000)
    expected = np.clip(np.rint(waveform * 32768), -32768, 32767) / 32768
    np.testing.assert_array_equal(
        audio.read_audio(tmp_path / "folder" / f"a{suffix}", 16000), expected.astype(np.float32)
    )


def test_write_refuses_other_formats(tmp_path):
    with pytest.raises(ValueError, match=r"suffix is '.mp3'; use .wav or .flac"):
        audio.write_audio(tmp_path / "a.mp3", np.zeros(10), 16000)


@pytest.mark.parametrize("suffix", [".wav", ".WAV", ".flac", ".ogg", ".mp3", ".aiff"])
@pytest.mark.parametrize("sample_rate", [8000, 16000, 44100])
def test_formats_of_soundfile(tmp_path, suffix, sample_rate):
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, tone(sample_rate, 1.5), sample_rate)
    waveform = audio.read_audio(path, 16000)
    assert abs(len(waveform) - 24000) <= 16000 * 0.03  # lossy codecs work in whole frames
    assert strongest(waveform, 16000) == pytest.approx(440, abs=2)
    info = audio.probe_audio(path)
    assert (info.sample_rate, info.channels) == (sample_rate, 1)
    assert info.num_samples == pytest.approx(1.5 * sample_rate, rel=0.03)


@pytest.mark.parametrize("name", ["a.m4a", "a.mp4", "a.mkv"])
def test_formats_of_pyav(tmp_path, name):
    write_sound(tmp_path / name, tone(44100, 1.5), "aac", 44100, film=name == "a.mp4")
    waveform = audio.read_audio(tmp_path / name, 16000)
    assert len(waveform) / 16000 == pytest.approx(1.5, abs=0.05)
    assert strongest(waveform, 16000) == pytest.approx(440, abs=2)
    assert np.abs(waveform[4000:20000]).max() == pytest.approx(0.3, abs=0.02)
    info = audio.probe_audio(tmp_path / name)
    assert (info.sample_rate, info.channels) == (44100, 1)
    assert info.format.endswith("/aac")


@pytest.mark.parametrize("given_up_at", [0, 16000])
def test_pyav_goes_on_at_the_sample_where_soundfile_stops(tmp_path, monkeypatch, given_up_at):
    samples = np.random.default_rng(0).integers(-9000, 9000, 40_000).astype(np.int16)
    soundfile.write(tmp_path / "a.flac", samples, 16000)

    class Stops(read_write._FrontToBack):
        def read(self, *args, **kwargs):
            if self.tell() >= given_up_at:
                raise soundfile.SoundFileRuntimeError("flac decoder lost sync")
            return super().read(*args, **kwargs)

    monkeypatch.setattr(read_write, "_FrontToBack", Stops)
    blocks = list(audio.read_audio_blocks(tmp_path / "a.flac", 16000, block_seconds=0.5))
    by_soundfile = given_up_at // 8000
    assert [len(block) for block in blocks[:by_soundfile]] == [8000] * by_soundfile
    assert len(blocks[by_soundfile]) != 8000  # PyAV's blocks are of whole frames
    np.testing.assert_array_equal(np.concatenate(blocks), samples.astype(np.float32) / 32768)


def test_flac_without_a_length_in_its_header(tmp_path):
    soundfile.write(tmp_path / "a.flac", tone(16000, 2), 16000)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[21] &= 0xF0  # STREAMINFO: the low 36 bits of bytes 21-25 count the samples; 0 is "unknown"
    content[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(content)
    assert audio.probe_audio(tmp_path / "a.flac").num_samples == 0
    assert len(audio.read_audio(tmp_path / "a.flac", 16000)) == 32000


def unrounded(path, sample_rate=16000):
    return np.concatenate(list(audio.read_audio_blocks(path, sample_rate)))


@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050, 44100, 96000])
def test_blocks_of_any_length_join_to_the_same_waveform(tmp_path, sample_rate):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, sample_rate * 2 + 17)
    soundfile.write(tmp_path / "a.wav", noise, sample_rate)
    whole = unrounded(tmp_path / "a.wav")
    np.testing.assert_array_equal(audio.read_audio(tmp_path / "a.wav", 16000), np.rint(whole * 32768) / 32768)
    blocks = list(audio.read_audio_blocks(tmp_path / "a.wav", 16000, block_seconds=0.37))
    assert len(blocks) > 4
    assert max(map(len, blocks)) <= 16000
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert abs(len(whole) - len(noise) * 16000 / sample_rate) < 1


def test_blocks_of_an_mp3_join_to_the_same_waveform(tmp_path):
    noise = 0.1 * np.random.default_rng(0).standard_normal(11025)
    soundfile.write(tmp_path / "a.mp3", noise, 22050)
    blocks = list(audio.read_audio_blocks(tmp_path / "a.mp3", 22050, block_seconds=0.05))
    np.testing.assert_array_equal(np.concatenate(blocks), unrounded(tmp_path / "a.mp3", 22050))


def test_what_another_decoder_gave_already_is_not_kept(tmp_path):
    minutes = np.random.default_rng(0).integers(-99, 99, 16000 * 60 * 10).astype(np.int16)
    soundfile.write(tmp_path / "a.flac", minutes, 16000)
    rest = ffmpeg.decode_with_ffmpeg(tmp_path / "a.flac", 30.0, len(minutes) - 1000, len(minutes), "lost sync")
    tracemalloc.start()
    try:
        ((block, rate),) = rest
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(block), rate) == (1000, 16000)
    np.testing.assert_array_equal(block, minutes[-1000:].astype(np.float32) / 32768)
    assert peak < 8 << 20  # as float32 it is 37 MiB


def test_resampling_keeps_what_fits_and_removes_what_does_not(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(48000, 1, 1000) + tone(48000, 1, 12000), 48000, subtype="FLOAT")
    waveform = audio.read_audio(tmp_path / "a.wav", 16000)[2000:-2000]
    expected = tone(16000, 1, 1000)[2000:-2000]
    assert np.abs(waveform - expected).max() < 1e-4


def reason(path):
    with pytest.raises(audio.AudioError) as caught:
        audio.read_audio(path, 16000)
    assert str(caught.value).startswith(f"Not usable as audio: {path}: ")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    return caught.value.reason


def test_bad_files_say_what_is_wrong(tmp_path):
    assert reason(tmp_path / "none.wav") == "the file does not exist"
    (tmp_path / "empty.wav").touch()
    assert reason(tmp_path / "empty.wav") == "the file is empty (0 bytes)"
    (tmp_path / "text.flac").write_text("not audio " * 100)
    assert reason(tmp_path / "text.flac").startswith("nothing in it can be decoded (it is no audio, or damaged)")
    (tmp_path / "text.wav").write_text("not audio " * 100)
    with pytest.raises(audio.AudioError, match="no decoder recognises it"):
        audio.probe_audio(tmp_path / "text.wav")
    (tmp_path / "headless.raw").write_bytes(bytes(1000))
    assert reason(tmp_path / "headless.raw")
    for suffix in ("au", "snd", "vox"):  # libsndfile takes whatever has no header for audio
        (tmp_path / f"junk.{suffix}").write_bytes(bytes(range(250)) * 40)
        assert reason(tmp_path / f"junk.{suffix}")
        with pytest.raises(audio.AudioError):
            audio.probe_audio(tmp_path / f"junk.{suffix}")
    soundfile.write(tmp_path / "no_samples.wav", np.zeros(0), 16000)
    assert "samples" in reason(tmp_path / "no_samples.wav")
    write_sound(tmp_path / "silent_film.mp4", None, "", 0, film=True)
    assert "has no audio stream" in reason(tmp_path / "silent_film.mp4")
    for value in (np.nan, np.inf):
        waveform = tone(16000, 1)
        waveform[777] = value
        soundfile.write(tmp_path / "nan.wav", waveform, 16000, subtype="FLOAT")
        assert reason(tmp_path / "nan.wav") == "it holds NaN or infinite samples"


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    for path in (tmp_path / "pipe.wav", tmp_path, Path("/dev/zero")):
        assert reason(path) == "it is not a file, but a folder, a pipe or a device"
        with pytest.raises(audio.AudioError, match="it is not a file"):
            audio.probe_audio(path)
    assert "a zero byte" in reason(Path("a\0.wav"))


@pytest.mark.parametrize("claimed", [0, 1, 999, 768_001, 2**31])
@pytest.mark.parametrize("suffix", [".wav", ".au", ".caf"])
def test_what_a_header_claims_must_be_plausible(tmp_path, suffix, claimed):
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, tone(22050, 1), 22050)
    order, form = {".wav": ("little", "I"), ".au": ("big", "I"), ".caf": ("big", "d")}[suffix]
    sign = "<" if order == "little" else ">"
    old, new = struct.pack(sign + form, 22050), struct.pack(sign + form, claimed)
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    told = reason(path)
    if claimed not in (0, 2**31):  # which libsndfile refuses itself
        assert told == f"it claims a sample rate of {claimed} Hz, and 1,000 to 768,000 Hz are plausible"
    with pytest.raises(audio.AudioError):
        audio.probe_audio(path)


@pytest.mark.parametrize("sample_rate", [1000, 768_000])
def test_the_lowest_and_the_highest_rate(tmp_path, sample_rate):
    soundfile.write(tmp_path / "a.wav", tone(sample_rate, 1, 100), sample_rate)
    waveform = audio.read_audio(tmp_path / "a.wav", 16000)
    assert len(waveform) == 16000
    assert strongest(waveform, 16000) == 100


def test_a_thousand_channels_in_bounded_blocks(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", np.full((8000, 1000), 0.25), 16000)
    sizes, read = [], soundfile.SoundFile.read

    def spied(file, size, **options):
        sizes.append(size * file.channels)
        return read(file, size, **options)

    monkeypatch.setattr(soundfile.SoundFile, "read", spied)
    np.testing.assert_array_equal(audio.read_audio(tmp_path / "a.wav", 16000), np.full(8000, 0.25))
    assert max(sizes) <= read_write.BLOCK_VALUES


@pytest.mark.parametrize(("layout", "channels"), [("5.1", 6), ("7.1", 8)])
def test_channels_through_pyav(tmp_path, layout, channels):
    samples = np.random.default_rng(0).integers(-9000, 9000, (4096, channels)).astype(np.int16)
    with av.open(str(tmp_path / "a.wv"), "w") as container:
        track = container.add_stream("wavpack", rate=16000)
        track.codec_context.layout, track.codec_context.format = layout, "s16p"
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate = 16000
        resampler = av.AudioResampler("s16p", layout, 16000)
        for piece in [*resampler.resample(frame), None]:
            container.mux(track.encode(piece))
    if channels > 7:  # PyAV would read foreign memory
        assert reason(tmp_path / "a.wv") == "it claims 8 channels, and up to 7 can be read of this format"
        return
    np.testing.assert_allclose(unrounded(tmp_path / "a.wv"), samples.mean(axis=1) / 32768, atol=1e-7)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_integers_and_floats_are_mixed_alike(tmp_path, subtype, channels):
    samples = np.random.default_rng(0).integers(-9000, 9000, (1600, channels)).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", samples / 32768, 16000, subtype=subtype)
    assert audio.probe_audio(tmp_path / "a.wav") == (1600, 16000, channels, f"wav/{subtype.lower()}")
    np.testing.assert_allclose(unrounded(tmp_path / "a.wav"), samples.mean(axis=1) / 32768, atol=1e-7)


def test_names_and_tags_that_are_no_utf8(tmp_path):
    path = tmp_path / os.fsdecode(b"r\xe9sum\xe9.wav")
    soundfile.write(os.fsencode(path), tone(16000, 1), 16000, format="WAV")
    assert len(audio.read_audio(path, 16000)) == 16000
    assert audio.probe_audio(path).num_samples == 16000
    path = tmp_path / os.fsdecode(b"r\xe9sum\xe9.m4a")
    write_sound(tmp_path / "a.mkv", tone(16000, 1), "aac", 16000)
    content = (tmp_path / "a.mkv").read_bytes().replace(b"Lavf", b"\xe9\xe8\xea\xeb")  # the name of the program, a tag
    path.write_bytes(content)
    assert len(audio.read_audio(path, 16000)) == pytest.approx(16000, abs=1024)


def test_a_playlist_opens_nothing_else(tmp_path):
    write_sound(tmp_path / "a.m4a", tone(16000, 1), "aac", 16000)
    (tmp_path / "b.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n")
    (tmp_path / "c.wav").write_text(f"ffconcat version 1.0\nfile '{tmp_path / 'a.m4a'}'\n")
    for name in ("b.m3u8", "c.wav"):
        assert reason(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "subtype", "channels"),
    [
        ("a.flac", "PCM_16", 1),
        ("a.wav", "PCM_16", 1),
        ("a.wav", "PCM_24", 2),
        ("a.wav", "ULAW", 1),
        ("a.wav", "FLOAT", 1),
    ],
)
def test_half_a_file_is_an_error(name, subtype, channels, tmp_path):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (160_000, channels))
    soundfile.write(tmp_path / name, noise, 16000, subtype=subtype)
    assert len(audio.read_audio(tmp_path / name, 16000)) == 160_000
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    assert "cut short" in reason(tmp_path / name)
    (tmp_path / name).write_bytes(content[: round(0.95 * len(content))])
    assert len(audio.read_audio(tmp_path / name, 16000)) == pytest.approx(152_000, rel=0.02)


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_wav_from_a_pipe_promises_nothing(size, tmp_path):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000)
    soundfile.write(tmp_path / "a.wav", noise, 16000, subtype="PCM_16")
    content = bytearray((tmp_path / "a.wav").read_bytes())
    place = content.index(b"data")
    content[place + 4 : place + 8] = size.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(content)
    assert len(audio.read_audio(tmp_path / "a.wav", 16000)) == 16_000


def test_damage_in_the_middle_of_a_flac_costs_little(tmp_path):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 320_000)
    soundfile.write(tmp_path / "a.flac", noise, 16000)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 100] = bytes(100)
    (tmp_path / "a.flac").write_bytes(content)
    waveform = audio.read_audio(tmp_path / "a.flac", 16000)
    assert len(waveform) >= 0.9 * len(noise)
    np.testing.assert_allclose(waveform[:100_000], noise[:100_000], atol=1 / 32768)


def test_what_no_decoder_knows_and_a_loop_of_links_are_reasons(tmp_path):
    samples = np.arange(-800, 800, dtype=np.int64)
    data = (samples << 52).tobytes()
    form = struct.pack("<HHIIHH", 1, 1, 16000, 128000, 8, 64)  # PCM of 64 bits, at which soundfile raises ValueError
    chunks = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(data)) + data
    path = tmp_path / "pcm64.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", len(chunks)) + chunks)
    with pytest.raises(audio.AudioError, match=r"its decoder failed .*'s64' format"):
        audio.read_audio(path, 16000)
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    for call in (audio.probe_audio, lambda path: audio.read_audio(path, 16000)):
        with pytest.raises(audio.AudioError, match="links lead to each other: remove one of them"):
            call(tmp_path / "loop.wav")


@pytest.mark.parametrize("suffix", ["mp3", "wav", "flac", "au", "snd", "ogg", "m4a"])
def test_junk_of_any_suffix_is_a_sentence(suffix, tmp_path):
    path = tmp_path / f"junk.{suffix}"
    path.write_bytes(np.random.default_rng(0).integers(0, 256, 20_000, np.uint8).tobytes())
    said = reason(path)
    assert said.endswith(" (it is no audio, or damaged): copy it again, or convert it to WAV or FLAC")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.wav/b.wav", "a file is where a folder should be: correct the path"),
        ("n" * 300 + ".wav", "a name is too long for the file system: choose a shorter one"),
        ("a\0b.wav", "its name holds a zero byte: correct the table"),
    ],
)
def test_what_the_system_refuses_is_a_sentence(name, words, tmp_path):
    audio.write_audio(tmp_path / "a.wav", np.zeros(100), 16000)
    assert reason(tmp_path / name).startswith(words)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EIO, "the disk or the network cannot be read or written: look at it"),
        (errno.EACCES, "there is no permission to read or write: change the rights"),
        (errno.ETIMEDOUT, "the system reports: Connection timed out: look at the disk"),
    ],
)
def test_a_disk_that_fails_while_it_is_read_is_a_sentence(number, words, tmp_path, monkeypatch):
    audio.write_audio(tmp_path / "a.wav", np.zeros(100), 16000)

    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(read_write, "_decode_soundfile", fail)
    assert reason(tmp_path / "a.wav").startswith(words)


def test_whatever_a_decoder_raises_is_the_reason_of_the_file(tmp_path, monkeypatch):
    audio.write_audio(tmp_path / "a.wav", np.zeros(100), 16000)

    def fail(*_, **__):
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(read_write, "_decode_soundfile", fail)
    with pytest.raises(audio.AudioError, match=r"its decoder failed \(ZeroDivisionError: by nothing\)"):
        audio.read_audio(tmp_path / "a.wav", 16000)
