"""Streams: the scores of a recording that comes in chunks are those of the whole recording."""

import numpy as np
import pytest
import soundfile
import torch

import dfx
from dfx.detector.answers import ThresholdChoice, decision_rule
from dfx.detector.file_detection import DetectionOptions, detect_files
from setups import artifacts, train_run

HOP = 0.2


@pytest.fixture(scope="module")
def run(corpus, home, undrawn_figures):
    epochs = ("trainer.max_epochs=4", "data.batch_size=4", "optimizer.lr=1e-2")
    return train_run("streams", corpus, home, "model=mlp", "feature=lfcc", *epochs)


@pytest.fixture(scope="module")
def detector(run):
    return dfx.load(artifacts(run) / "checkpoint" / "best.ckpt")


@pytest.fixture(scope="module")
def recording(tmp_path_factory, babble):
    """A file of 3.3 s at a rate."""
    folder = tmp_path_factory.mktemp("recording")

    def make(rate):
        path = folder / f"{rate}.wav"
        if not path.exists():
            soundfile.write(path, babble(round(3.3 * rate), seed=1, rate=rate), rate, subtype="PCM_16")
        return path

    return make


def whole(detector, path, cache):
    """Windows of a file, scored at once."""
    rule = decision_rule([detector.card], ThresholdChoice(), "x")
    options = DetectionOptions(hop_seconds=HOP, num_workers=0, cache=str(cache))
    (answer,) = detect_files([detector], rule, [str(path)], options)
    return answer.windows


def chunks(samples, size):
    """Chunks of a size, or of random sizes."""
    generator, first = np.random.default_rng(0), 0
    while first < len(samples):
        step = size or int(generator.integers(0, 20_000))
        yield samples[first : first + step]
        first += step


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("size", [160, 1000, 16000, None])
def test_chunks_of_any_size_score_as_the_whole(detector, recording, tmp_path, rate, size):
    samples, _ = soundfile.read(recording(rate), dtype="int16")
    stream = dfx.StreamingDetector(detector, sample_rate=rate, hop_seconds=HOP)
    found = [window for chunk in chunks(samples, size) for window in stream.add(chunk)] + stream.finish()
    expected = whole(detector, recording(rate), tmp_path)
    assert [window.start_seconds for window in found] == pytest.approx(expected.starts.tolist())
    assert [window.llr for window in found] == pytest.approx(expected.scores.tolist(), abs=1e-5)
    scores = (expected.scores - detector.card.intercept) / detector.card.slope
    assert [window.score for window in found] == pytest.approx(scores.tolist(), abs=1e-6)
    assert found[-1].end_seconds == pytest.approx(3.3, abs=1e-3)


def test_single_samples_floats_and_channels(detector, recording):
    samples, _ = soundfile.read(recording(16000), dtype="int16")
    samples = samples[:10_000]
    results = []
    for chunk in (1, 5000):
        stream = dfx.StreamingDetector(detector, hop_seconds=HOP)
        results.append(
            [w.score for c in chunks(samples, chunk) for w in stream.add(c)] + [w.score for w in stream.finish()]
        )
    for form in (samples / 32768, np.stack([samples, samples], axis=1), torch.from_numpy(samples / 32768)):
        stream.reset()
        results.append([w.score for w in stream.add(form)] + [w.score for w in stream.finish()])
    for other in results[1:]:
        assert other == pytest.approx(results[0], abs=1e-6)


def test_windows_come_as_soon_as_they_are_complete_and_memory_stays(detector):
    stream = dfx.StreamingDetector(detector, hop_seconds=HOP)
    size, hop = 8000, 3200
    assert stream.add(np.zeros(size - 1, np.int16)) == []
    assert len(stream.add(np.zeros(1, np.int16))) == 1
    assert stream.add(np.zeros(hop - 1)) == []
    assert len(stream.add(np.zeros(1))) == 1
    for _ in range(50):
        stream.add(np.zeros(hop))
    assert len(stream._buffer) <= size + hop


def test_a_short_stream_is_repeated_as_a_short_file(detector, recording, tmp_path):
    samples, rate = soundfile.read(recording(16000), dtype="int16")
    soundfile.write(tmp_path / "short.wav", samples[:3000], rate)
    stream = dfx.StreamingDetector(detector)
    stream.add(samples[:3000])
    (window,) = stream.finish()
    assert window.score == pytest.approx(detector.score(tmp_path / "short.wav"), abs=1e-6)
    assert window.end_seconds == pytest.approx(3000 / 16000)


def test_what_no_stream_can_be_is_refused(detector, run, corpus, home):
    stream = dfx.StreamingDetector(detector)
    with pytest.raises(ValueError, match="ended before the first sample"):
        stream.finish()
    with pytest.raises(ValueError, match=r"call reset\(\)"):
        stream.add(np.zeros(3))
    stream.reset()
    for chunk, sentence in (
        (np.zeros(3, np.int32), "got int32"),
        (np.zeros((2, 2, 2)), "got float64 of shape"),
        (np.array([np.nan]), "NaN or infinite"),
    ):
        with pytest.raises(ValueError, match=sentence):
            stream.add(chunk)
    for wrong in ({"hop_seconds": -1}, {"hop_seconds": 9.0}, {"window_seconds": float("inf")}):
        with pytest.raises(ValueError, match=r"(hop|window)_seconds=.*: it is a time|longer than a window"):
            dfx.StreamingDetector(detector, **wrong)
    with pytest.raises(ValueError, match="sample rate of 10 Hz"):
        dfx.StreamingDetector(detector, sample_rate=10)
    detector.config["conditioning"]["trim_db"] = 40.0
    try:
        with pytest.raises(ValueError, match="it needs the whole clip first"):
            dfx.StreamingDetector(detector)
    finally:
        detector.config["conditioning"]["trim_db"] = None
