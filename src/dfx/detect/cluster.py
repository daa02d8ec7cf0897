"""Spread the files of a command over a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from dfx.detector import loading
from dfx.detector.answers import ClipAnswer, DecisionRule
from dfx.detector.file_detection import DetectionOptions, detect_files

FILES_AT_ONCE = 200  # of a task


def detect_on_cluster(
    places: Sequence[str], trust: Sequence[str], rule: DecisionRule, paths: Sequence[str], options: DetectionOptions
) -> Iterator[ClipAnswer]:
    """Yield an answer for each file, in order, computed by tasks of Ray with a core each.

    Every host sees files and detectors under the same paths. Ray starts on this machine if no cluster is known
    (`RAY_ADDRESS`).

    Raises:
        ValueError: if Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise ValueError("engine=ray needs Ray, which is not installed: pip install 'dfx[ray]'.") from error
    if not ray.is_initialized():
        ray.init(log_to_driver=False, configure_logging=False)
    task: Any = ray.remote(_detect)
    tasks = [
        task.remote(list(places), list(trust), rule, list(paths[first : first + FILES_AT_ONCE]), options)
        for first in range(0, len(paths), FILES_AT_ONCE)
    ]
    for one in tasks:
        yield from ray.get(one)


def _detect(
    places: Sequence[str], trust: Sequence[str], rule: DecisionRule, paths: Sequence[str], options: DetectionOptions
) -> list[ClipAnswer]:
    """Score some files in a task of Ray."""
    import torch

    torch.set_num_threads(1)
    detectors = [loading.load_detector(place, trust, options.cache) for place in places]
    return list(detect_files(detectors, rule, paths, replace(options, num_workers=1)))
