"""The same recording twice: sample for sample, or at another gain, sample rate or codec.

Candidates have fingerprints of cosine .95 or more and active parts of like length (within 3 % or .1 s). Then their
waveforms decide: the largest correlation of 4 seconds of both, band-limited, is .99 and more for copies at another
gain, sample rate or in MP3, and below .9 for a recording and its vocoded twin, whose fingerprints match as well.

Not found are copies that were trimmed by a few percent, stretched, or mixed with noise (20 dB under the speech hides
them: it fills the pauses that the fingerprint sees).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dfx.audio.spectrum import FINGERPRINT_HZ
from dfx.audio.store import WaveformStore
from dfx.audit.collect import Measures

ALIKE = (
    0.95  # cosine of two fingerprints: copies have .98 and more, different recordings of speech .9 at most
)
SAME = 0.95  # correlation of two waveforms
LENGTHS = (0.03, 0.1)  # by which share, or how many seconds, active parts may differ in length
MAX_NEIGHBOURS = (
    100_000  # of like length that a clip is compared with: half an hour for 600,000 clips of one length
)
MAX_PAIRS = 20_000  # whose waveforms are compared, the most alike first: a minute or two
MOST = 2_000_000  # candidate pairs that are kept at a time
COMPARED_S = 4.0
BLOCK, COLUMNS = 1024, 16_384  # of one matrix product: 64 MiB


class Matches(NamedTuple):
    """Groups of rows that hold the same recording.

    Attributes:
        exact: (rows,) number of the group of equal samples, -1 where a clip is alone.
        near: (rows,) number of the group of like recordings, exact ones included; -1 where a clip is alone.
        compared: pairs of fingerprints that were compared.
        limits: what was not compared, in words; empty where everything was.
    """

    exact: NDArray[np.int64]
    near: NDArray[np.int64]
    compared: int
    limits: str


def match(measures: Measures, usable: NDArray[np.bool_]) -> Matches:
    """Rows that hold the same recording.

    Args:
        measures: of the corpus.
        usable: (rows,) rows to look at: decoded, and not silent.
    """
    digest, fingerprint, start_s, active_s = (
        measures.array(name) for name in ("digest", "fingerprint", "start_s", "active_s")
    )
    rows = np.flatnonzero(usable & fingerprint.any(axis=1))
    exact = np.full(len(digest), -1, np.int64)
    _, first, group, size = np.unique(
        digest[rows], return_index=True, return_inverse=True, return_counts=True
    )
    exact[rows] = np.where(size[group] > 1, group, -1)
    single = rows[first]
    order = single[np.argsort(active_s[single], kind="stable")]
    left, right, compared, limits = _candidates(fingerprint, active_s, order)
    if len(left) > MAX_PAIRS:
        limits.append(
            f"of {len(left):,} pairs with like fingerprints the waveforms of {MAX_PAIRS:,} were compared"
        )
        left, right = left[:MAX_PAIRS], right[:MAX_PAIRS]
    same = np.array(
        [
            _correlation(measures.store, int(a), int(b), start_s) >= SAME
            for a, b in zip(left, right, strict=True)
        ],
        bool,
    )
    begin = np.concatenate([left[same], rows])
    end = np.concatenate([right[same], single[group]])
    links = coo_array((np.ones(len(begin), np.int8), (begin, end)), shape=(len(digest), len(digest)))
    component = connected_components(links, directed=False)[1].astype(np.int64)
    alone = np.bincount(component)[component] == 1
    return Matches(exact, np.where(alone, -1, component), compared, "; ".join(limits))


def _candidates(
    fingerprint: NDArray[np.int8], active_s: NDArray[np.float32], order: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp], int, list[str]]:
    """Pairs of like length and fingerprint, the most alike first; comparisons made; what was not compared.

    The rows come in `order` of length, so those of like length are neighbours: a band of the matrix of all pairs.
    """
    lengths = active_s[order].astype(np.float64)
    stop = np.searchsorted(
        lengths, np.maximum(lengths * (1 + LENGTHS[0]), lengths + LENGTHS[1]), side="right"
    )
    limits = []
    if len(order) and int((stop - np.arange(len(order))).max()) > MAX_NEIGHBOURS:
        limits.append(
            f"more than {MAX_NEIGHBOURS:,} clips have one length: each was compared with as many only"
        )
        stop = np.minimum(stop, np.arange(len(order)) + MAX_NEIGHBOURS)
    found: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]] = []
    for begin in range(0, len(order), BLOCK):
        end = min(begin + BLOCK, len(order))
        block = _unit(fingerprint[order[begin:end]])
        for first in range(begin, int(stop[end - 1]), COLUMNS):
            last = min(first + COLUMNS, int(stop[end - 1]))
            alike = block @ _unit(fingerprint[order[first:last]]).T
            i, j = np.nonzero(alike >= ALIKE)
            keep = (j + first > i + begin) & (j + first < stop[i + begin])
            i, j = i[keep], j[keep]
            if len(i):
                found.append((order[i + begin], order[j + first], alike[i, j]))
            if sum(len(part[0]) for part in found) > MOST:  # after each product: all its pairs may be alike
                found = [_most_alike(found, MOST // 2)]
    left, right, _ = _most_alike(found, MOST)
    return left, right, int((stop - np.arange(len(order)) - 1).sum()), limits


def _most_alike(
    found: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]], number: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    if not found:
        return np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0, np.float32)
    left, right, alike = (np.concatenate(parts) for parts in zip(*found, strict=True))
    best = np.argsort(-alike, kind="stable")[:number]
    return left[best], right[best], alike[best]


def _unit(fingerprint: NDArray[np.int8]) -> NDArray[np.float32]:
    vectors = fingerprint.astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _correlation(store: WaveformStore, left: int, right: int, start_s: NDArray[np.float32]) -> float:
    """Largest normalised correlation of two clips over all shifts, of either sign."""
    size = round(COMPARED_S * store.sample_rate)
    clips = [
        store.read(row, min(round(float(start_s[row]) * store.sample_rate), store.length(row)), size)
        for row in (left, right)
    ]
    number = scipy.fft.next_fast_len(len(clips[0]) + len(clips[1]), real=True)
    hz = scipy.fft.rfftfreq(number, 1 / store.sample_rate)
    band = (hz >= FINGERPRINT_HZ[0]) & (hz < FINGERPRINT_HZ[1])
    spectra = [scipy.fft.rfft(clip, number) * band for clip in clips]
    energy = np.prod([np.sum(np.abs(spectrum) ** 2, dtype=np.float64) for spectrum in spectra])
    if energy == 0:
        return 0.0
    correlation = scipy.fft.irfft(spectra[0] * spectra[1].conj(), number)
    # Parseval, with the negative frequencies that rfft leaves out.
    return float(np.abs(correlation).max() * number / (2 * np.sqrt(energy)))
