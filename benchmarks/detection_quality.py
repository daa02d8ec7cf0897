"""Calibration, decisions and warnings of a detector on eval clips, as they are and in other formats.

    python benchmarks/detection_quality.py MODEL MANIFEST

For wav, flac, mp3 at 32 kbit/s, opus at 16 kbit/s and the telephone (8 kHz, A-law): accuracy, false accepts and false
rejects at the shipped threshold, share of UNSURE and of clips unlike dev, Cllr and ECE before and after calibration.
Then the share of synthetic music that is unlike dev.
"""

import sys
import tempfile
from pathlib import Path

import av
import numpy as np
import soundfile

import dfx
from dfx import audio
from dfx.detector.answers import ThresholdChoice, decision_rule
from dfx.detector.file_detection import DetectionOptions, detect_files
from dfx.metrics import cllr, ece, eer
from dfx.tables.manifest_reading import read_manifest

RATE = 16000


def encode(path: Path, samples: np.ndarray, codec: str, bit_rate: int, rate: int) -> None:
    """Write samples (samples,) with a lossy codec."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(audio.to_int16(samples)[None], format="s16", layout="mono")
        frame.sample_rate = RATE
        resampler = av.AudioResampler(format=stream.format.name, layout="mono", rate=rate)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))


def write(path: Path, samples: np.ndarray, form: str) -> Path:
    """Write samples in a format, and return the path."""
    if form == "mp3 32k":
        path = path.with_suffix(".mp3")
        encode(path, samples, "libmp3lame", 32_000, RATE)
    elif form == "opus 16k":
        path = path.with_suffix(".opus")
        encode(path, samples, "libopus", 16_000, 48_000)
    elif form == "telephone":
        path = path.with_suffix(".wav")
        soundfile.write(path, np.clip(audio.resample_waveform(samples, RATE, 8000), -1, 1), 8000, subtype="ALAW")
    else:
        path = path.with_suffix(f".{form}")
        audio.write_audio(path, samples, RATE)
    return path


def music(seed: int) -> np.ndarray:
    """Chords of harmonic tones with decay, 4 s."""
    generator = np.random.default_rng(seed)
    time = np.arange(RATE // 2) / RATE
    chords = []
    for _ in range(8):
        notes = 110 * 2 ** (generator.choice(24, 3, replace=False) / 12)
        tones = sum(np.sin(2 * np.pi * note * k * time) / k for note in notes for k in range(1, 6))
        chords.append(0.1 * tones * np.exp(-3 * time))
    return np.concatenate(chords).astype(np.float32)


def main() -> None:
    model, path = sys.argv[1:3]
    table = read_manifest(path).split("eval").table
    detector = dfx.load(model)
    rule = decision_rule([detector.card], ThresholdChoice(), detector.name)
    label = table["label"].to_numpy() == 1
    clips = [audio.read_audio(name, RATE) for name in table["path"]]
    print(f"{len(clips)} eval clips, {label.sum()} bona fide; EER, accuracy ... in %; ECE and Cllr: raw -> calibrated")
    print(f"{'format':<10} {'EER':>6} {'acc':>6} {'FA':>6} {'FR':>6} {'unsure':>7} {'unlike':>7}   ECE            Cllr")
    with tempfile.TemporaryDirectory() as folder:
        options = DetectionOptions(cache=folder)
        for form in ("wav", "flac", "mp3 32k", "opus 16k", "telephone"):
            place = Path(folder) / form.replace(" ", "")
            place.mkdir()
            paths = [str(write(place / f"{number}.x", clip, form)) for number, clip in enumerate(clips)]
            answers = list(detect_files([detector], rule, paths, options))
            score = np.array([one.score for one in answers])
            raw = (score - detector.card.intercept) / detector.card.slope
            fake = score <= rule.threshold
            unlike = np.mean([any("Unlike" in text for text in one.warnings) for one in answers])
            unsure = np.mean([one.prediction == "UNSURE" for one in answers])
            shares = (
                *(eer(score[label], score[~label])[0], np.mean(fake != label)),
                *(np.mean(~fake[~label]), np.mean(fake[label]), unsure, unlike),
            )
            both = [(measure(raw[label], raw[~label]), measure(score[label], score[~label])) for measure in (ece, cllr)]
            texts = "  ".join(f"{before:.3f} -> {after:.3f}" for before, after in both)
            print(f"{form:<10} " + " ".join(f"{100 * share:>6.1f}" for share in shares) + f"   {texts}")
        for number in range(50):
            audio.write_audio(Path(folder) / f"music{number}.wav", music(number), RATE)
        names = [str(Path(folder) / f"music{number}.wav") for number in range(50)]
        found = [
            any("Unlike" in text for text in one.warnings) for one in detect_files([detector], rule, names, options)
        ]
        print(f"synthetic music: {100 * np.mean(found):.0f} % unlike dev")


if __name__ == "__main__":
    main()
