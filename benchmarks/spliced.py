"""Find fake parts: 1 to 3 s of a spoofed clip spliced into bona fide recordings of 10 to 30 s, 100 of them.

    python benchmarks/spliced.py MODEL MANIFEST [SEED]

Prints the segment EER (scores of moments of 20 ms inside and outside of the fake part, each moment with the mean of the
windows that hold it), and the overlap (intersection over union) of the marked region with the fake part. Only eval
clips of the manifest are used; bona fide clips of one speaker are joined until they are long enough.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import dfx
from dfx import audio
from dfx.detector.answers import ThresholdChoice, decision_rule
from dfx.detector.file_detection import DetectionOptions, detect_files
from dfx.metrics import eer
from dfx.tables.manifest_reading import read_manifest

RATE, NUM_CLIPS, STEP = 16000, 100, 0.02


def main() -> None:
    model, path = sys.argv[1:3]
    generator = np.random.default_rng(int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    table = read_manifest(path).split("eval").table
    bonafide = {name: rows["path"].tolist() for name, rows in table[table["label"] == 1].groupby("speaker")}
    spoofed = table[table["label"] == 0]["path"].tolist()
    detector = dfx.load(model)
    rule = decision_rule([detector.card], ThresholdChoice(), detector.name)
    inside, outside, overlaps = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        truth = {}
        for number in range(NUM_CLIPS):
            wanted = generator.uniform(10, 30)
            speaker = generator.choice(sorted(bonafide))
            pieces, seconds = [], 0.0
            while seconds < wanted:
                pieces.append(audio.read_audio(generator.choice(bonafide[speaker]), RATE))
                seconds += len(pieces[-1]) / RATE
            clip = np.concatenate(pieces)[: round(wanted * RATE)]
            fake = audio.read_audio(generator.choice(spoofed), RATE)
            fake = fake[: round(generator.uniform(1, 3) * RATE)]
            start = int(generator.integers(0, len(clip)))
            name = Path(folder) / f"{number}.wav"
            audio.write_audio(name, np.concatenate([clip[:start], fake, clip[start:]]), RATE)
            truth[str(name)] = start / RATE, (start + len(fake)) / RATE
        options = DetectionOptions(hop_seconds=0.25, cache=folder)
        for answer in detect_files([detector], rule, list(truth), options):
            begin, end = truth[answer.path]
            times = np.arange(0, answer.duration_seconds, STEP)
            windows = answer.windows
            held = (times[:, None] >= windows.starts) & (times[:, None] < windows.starts + windows.seconds)
            level = held @ windows.scores / np.maximum(held.sum(axis=1), 1)
            is_fake = (times >= begin) & (times < end)
            inside.append(level[is_fake])
            outside.append(level[~is_fake])
            marked = np.zeros(len(times), bool)
            for segment in answer.segments:
                marked |= (times >= segment.start_seconds) & (times < segment.end_seconds)
            overlaps.append((marked & is_fake).sum() / max((marked | is_fake).sum(), 1))
    rate, _ = eer(np.concatenate(outside), np.concatenate(inside))
    missed = np.mean(np.array(overlaps) == 0)
    print(
        f"{NUM_CLIPS} spliced recordings: segment EER {100 * rate:.1f} %; overlap with the marked region, median "
        f"{np.median(overlaps):.2f}, mean {np.mean(overlaps):.2f}; not marked at all {missed:.2f}"
    )


if __name__ == "__main__":
    main()
