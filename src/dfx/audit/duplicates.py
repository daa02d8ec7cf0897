"""Find duplicate recordings: equal samples, or a copy at another gain, sample rate or codec.

Two clips are compared if their fingerprints have a cosine of .95 or more and their active parts are about equally long
(within 3 % or .1 s). Then the waveforms decide: the largest correlation of 4 seconds of both, band-limited, is .99 or
more for copies at another gain, at another sample rate or in MP3. It is below .9 for a recording and its vocoded twin,
although their fingerprints match.

Copies that were trimmed by a few percent, stretched, or mixed with noise (20 dB below the speech is enough, since it
fills the pauses) are not found.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dfx.audio.fingerprints import FINGERPRINT_HZ
from dfx.audio.store import WaveformStore
from dfx.audit.corpus_measures import CorpusMeasures

ALIKE = 0.95  # cosine of two fingerprints: copies have .98 or more, different recordings of speech at most .9
SAME = 0.95  # correlation of two waveforms
LENGTHS = (0.03, 0.1)  # the lengths of active parts may differ by this share, or by so many seconds
MAX_NEIGHBOURS = 100_000  # clips of about equal length that a clip is compared with; 600,000 clips take half an hour
MAX_PAIRS = 20_000  # pairs whose waveforms are compared, the most similar first; this takes a minute or two
MAX_CANDIDATES = 2_000_000  # pairs with similar fingerprints in memory
COMPARED_S = 4.0
BLOCK, COLUMNS = 1024, 16_384  # size of one matrix product: 64 MiB

Pairs = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]  # two rows and the cosine of each pair


class DuplicateGroups(NamedTuple):
    """Groups of clips that contain the same recording.

    Attributes:
        exact: (rows,) number of the group of clips with equal samples; -1 for a clip without a duplicate.
        near: (rows,) number of the group of clips of the same recording, with equal samples or not; -1 as above.
        limits: what was not compared, in words; empty if everything was.
    """

    exact: NDArray[np.int64]
    near: NDArray[np.int64]
    limits: str


def find_duplicates(measures: CorpusMeasures, usable: NDArray[np.bool_]) -> DuplicateGroups:
    """Group the clips of a corpus that contain the same recording.

    Args:
        measures: measures of the corpus.
        usable: (rows,) the rows to compare: decoded, and not silent.
    """
    fingerprint = measures.fingerprint
    table, store = measures.table, measures.store
    digest, start_s, active_s = (table[name].to_numpy() for name in ("digest", "start_s", "active_s"))
    rows = np.flatnonzero(usable & fingerprint.any(axis=1))
    exact = np.full(len(digest), -1, np.int64)
    _, first, group, size = np.unique(digest[rows], return_index=True, return_inverse=True, return_counts=True)
    exact[rows] = np.where(size[group] > 1, group, -1)
    single = rows[first]
    order = single[np.argsort(active_s[single], kind="stable")]
    left, right, limits = _candidates(fingerprint, active_s, order)
    if len(left) > MAX_PAIRS:
        limits.append(f"of {len(left):,} pairs with like fingerprints the waveforms of {MAX_PAIRS:,} were compared")
        left, right = left[:MAX_PAIRS], right[:MAX_PAIRS]
    pairs = zip(left.tolist(), right.tolist(), strict=True)
    same = np.array([_correlation(store, a, b, start_s) >= SAME for a, b in pairs], bool)
    begin = np.concatenate([left[same], rows])
    end = np.concatenate([right[same], single[group]])
    links = coo_array((np.ones(len(begin), np.int8), (begin, end)), shape=(len(digest), len(digest)))
    component = connected_components(links, directed=False)[1].astype(np.int64)
    alone = np.bincount(component)[component] == 1
    return DuplicateGroups(exact, np.where(alone, -1, component), "; ".join(limits))


def _candidates(
    fingerprint: NDArray[np.int8], active_s: NDArray[np.float32], order: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp], list[str]]:
    """Find pairs of clips with similar length and fingerprint, the most similar first, and what was not compared."""
    lengths = active_s[order].astype(np.float64)
    stop = np.searchsorted(lengths, np.maximum(lengths * (1 + LENGTHS[0]), lengths + LENGTHS[1]), side="right")
    limits = []
    if len(order) and int((stop - np.arange(len(order))).max()) > MAX_NEIGHBOURS:
        limits.append(f"more than {MAX_NEIGHBOURS:,} clips have one length: each was compared with as many only")
        stop = np.minimum(stop, np.arange(len(order)) + MAX_NEIGHBOURS)
    found: list[Pairs] = []
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
            # After each product, since all of its pairs may be similar.
            if sum(len(part[0]) for part in found) > MAX_CANDIDATES:
                found = [_most_alike(found, MAX_CANDIDATES // 2)]
    left, right, _ = _most_alike(found, MAX_CANDIDATES)
    return left, right, limits


def _most_alike(found: list[Pairs], number: int) -> Pairs:
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
    """Compute the largest absolute normalised cross-correlation of two clips over all time shifts."""
    size = round(COMPARED_S * store.sample_rate)
    clips = [
        store.read(row, min(round(float(start_s[row]) * store.sample_rate), int(store.lengths[row])), size)
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
