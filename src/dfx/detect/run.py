"""Open the detectors of the command, score files or a stream, and show and write the answers."""

from __future__ import annotations

import contextlib
import math
import struct
import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from omegaconf import DictConfig

from dfx import audio, files
from dfx.audio.parts import DecodingLimits
from dfx.audio.speech_properties import speech_properties
from dfx.audio.store import WaveformStore
from dfx.console import plain_console, progress_bar, say
from dfx.detect import document, records
from dfx.detect.log import log_answer, log_window, open_log
from dfx.detector import foreign_config
from dfx.detector.answers import (
    AGGREGATES,
    SILENT_DBFS,
    UNSURE,
    ClipAnswer,
    ThresholdChoice,
    probability_text,
)
from dfx.detector.detection_system import DetectionSystem, open_detection_system
from dfx.detector.file_detection import DetectionOptions, detect_files
from dfx.detector.streaming import StreamingDetector, StreamWindow
from dfx.reporting.document import document_file_name, show_document_parts
from dfx.reporting.document_parts import DocumentPart, DocumentText

PRESETS = {  # of the two versions of system S4
    "s4_v2": {"window_seconds": 3.0, "hop_seconds": 3.0, "strict_length": True},
    "s4_v3": {"window_seconds": 3.0, "hop_seconds": 1.5, "strict_length": True},
}
ENGINES = ("local", "ray")
OUTPUTS = ("json", "csv", "plot", "report")  # keys of files that are written
READ_BYTES = 1 << 15  # of standard input at once
STREAMED_SIZE = 0x7FFFF000  # SoX and FFmpeg write at least this as the size of a stream


def open_system(cfg: DictConfig) -> DetectionSystem:
    """Open the detectors that the configuration names, and make the decision rule from their dev scores.

    Raises:
        ValueError: if there is no such detector, or options are invalid or contradict each other.
    """
    _check_choices(cfg)
    if cfg.num_threads:
        torch.set_num_threads(cfg.num_threads)
    choice = ThresholdChoice(cfg.threshold, cfg.false_alarm, cfg.c_miss, cfg.c_fa, cfg.p_spoof)
    windows = {"window_seconds": cfg.window_seconds, "hop_seconds": cfg.hop_seconds, "strict_length": cfg.strict_length}
    options = DetectionOptions(
        **(windows | PRESETS.get(cfg.preset, {})),
        aggregate=cfg.aggregate,
        top_k=cfg.top_k,
        batch_size=cfg.batch_size,
        num_workers=cfg.num_workers,
        cache=cfg.cache,
        rerun=cfg.rerun,
        limits=DecodingLimits(**cfg.limits),
    )
    return open_detection_system(cfg.model, cfg.trust, choice, options)


def _check_choices(cfg: DictConfig) -> None:
    for key, words in (("preset", (None, *PRESETS)), ("engine", ENGINES), ("aggregate", AGGREGATES)):
        if cfg[key] not in words:
            raise ValueError(f"{key}={cfg[key]}: use one of {', '.join(word for word in words if word)}.")
    given = [key for key in ("window_seconds", "hop_seconds") if cfg[key] is not None]
    if cfg.preset and given:
        raise ValueError(f"preset={cfg.preset} says the windows already: leave out it or {given[0]}.")
    if cfg.batch_size < 1 or cfg.top_k < 1 or (cfg.num_workers or 0) < 0 or (cfg.num_threads or 1) < 1:
        raise ValueError(
            f"batch_size={cfg.batch_size}, top_k={cfg.top_k}, num_workers={cfg.num_workers}, num_threads="
            f"{cfg.num_threads}: they must be positive; num_workers=0 decodes in this process."
        )
    for key, value in cfg.limits.items():
        if value <= 0:
            raise ValueError(f"limits.{key}={value}: it must be positive.")
    if cfg.report and Path(cfg.report).suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"report={cfg.report}: the page is HTML; name a file that ends with .html.")
    if cfg.json == "-" and cfg.csv == "-":
        raise ValueError("json=- and csv=- would both write to standard output: give one of them a file.")


def detect_paths(system: DetectionSystem, paths: Sequence[str], cfg: DictConfig) -> bool:
    """Score files, print and write the answers; return whether each file has one.

    Args:
        system: detectors, rule and options.
        paths: audio and video files.
        cfg: where to write answers.
    """
    picture_paths = _picture_paths(paths, cfg.plot)
    _refuse_overwriting(paths, cfg)
    drawn: list[Path] = []
    most_fake = document.MostFake()
    answers: list[ClipAnswer] = []
    found: list[dict[str, Any]] = []

    def score() -> Generator[int]:
        before = time.monotonic()
        for answer in _answers(system, paths, cfg):
            if log is not None:
                log_answer(log, answer, cfg.log_paths)
            now = time.monotonic()
            properties, overview = answer.overview or (None, None)
            answer = replace(answer, overview=overview)
            plot = picture_paths.get(answer.path)
            if plot is not None and overview is not None:
                # Matplotlib takes a second, which most commands do not need.
                from dfx.reporting.figures.clip import clip_picture

                with files.atomic_write(plot) as temporary:
                    temporary.write_bytes(clip_picture(answer, system.rule))
                drawn.append(plot)
            if cfg.report:
                most_fake.add(answer)
            if cfg.json:
                shown = None if plot is None or overview is None else str(plot)
                found.append(_record(system, answer, properties, now - before, shown))
            answers.append(replace(answer, overview=None))
            before = now
            yield 1

    with open_log(cfg.log, system, "files") as log:
        progress_bar(score(), "detecting", len(paths), show=len(paths) > 1)
    if cfg.json:
        _write(cfg.json, records.answers_json(found, system.name, system.rule))
    if cfg.csv:
        _write(cfg.csv, records.answers_csv(answers, system.rule))
    if cfg.report:
        page = document.answers_document(answers, most_fake.answers(), system.rule, system.name)
        files.write_text_file(Path(cfg.report).expanduser(), page.html())
    if "-" not in (cfg.json, cfg.csv):
        _show(system, answers, {key: cfg[key] for key in (*OUTPUTS, "log") if key != "plot" or drawn})
    return not any(answer.reason for answer in answers)


def _answers(system: DetectionSystem, paths: Sequence[str], cfg: DictConfig) -> Iterator[ClipAnswer]:
    if cfg.engine == "ray":
        from dfx.detect import cluster

        if cfg.plot or cfg.report or cfg.json:
            raise ValueError("engine=ray returns scores only: leave out plot, report and json, and take csv=FILE.")
        trust = foreign_config.trusted_packages(cfg.trust)
        return cluster.detect_on_cluster(system.places, trust, system.rule, paths, system.options)

    def overview(clips: WaveformStore, row: int) -> tuple[Any, Any]:
        properties = speech_properties(clips, row) if cfg.json else None
        if not (cfg.plot or cfg.report):
            return properties, None
        from dfx.reporting.figures.clip import clip_overview

        return properties, clip_overview(clips, row)

    wanted = overview if cfg.json or cfg.plot or cfg.report else None
    return detect_files(system.detectors, system.rule, paths, system.options, wanted)


def _record(
    system: DetectionSystem, answer: ClipAnswer, properties: Any, seconds: float, plot: str | None
) -> dict[str, Any]:
    header = {}
    if not answer.reason:
        with contextlib.suppress(audio.AudioError):  # it may have gone since
            info = audio.probe_audio(answer.path)  # it was decoded before, so its header is harmless
            header = {"sample_rate": info.sample_rate, "channels": info.channels}
    policy = system.detectors[0].policy("sliding", system.options.window_seconds, system.options.hop_seconds)
    hop = policy.crop.hop / policy.sample_rate
    return records.answer_record(answer, system.rule, header, properties, seconds, plot, hop)


def _picture_paths(paths: Sequence[str], plot: str | None) -> dict[str, Path]:
    """Return the PNG file of each clip: `plot` itself for a single clip, else a file in the folder `plot`."""
    if plot is None:
        return {}
    target = Path(plot).expanduser()
    if target.suffix.lower() not in ("", ".png") and not target.is_dir():
        raise ValueError(f"plot={plot}: pictures are PNG files; name one (plot=FILE.png), or a folder.")
    if target.suffix.lower() == ".png":
        if len(paths) > 1:
            raise ValueError(f"plot={plot} is one file, and there are {len(paths)} clips: name a folder instead.")
        return {paths[0]: target}
    names: dict[str, int] = {}
    found = {}
    for path in paths:
        name = document_file_name(Path(path).name)
        names[name] = names.get(name, 0) + 1
        found[path] = target / (f"{name}.png" if names[name] == 1 else f"{name}-{names[name]}.png")
    return found


def _write(place: str, text: str) -> None:
    if place == "-":
        sys.stdout.write(text.encode(errors="backslashreplace").decode())  # file names need not be UTF-8
    else:
        files.write_text_file(Path(place).expanduser(), text)


def _refuse_overwriting(paths: Sequence[str], cfg: DictConfig) -> None:
    inputs = {str(Path(path).absolute()) for path in paths}
    for key in (*OUTPUTS, "log"):
        if cfg[key] and str(Path(cfg[key]).absolute()) in inputs:
            raise ValueError(f"{key}={cfg[key]} is a file to look at, and would be overwritten: name another.")


def _show(system: DetectionSystem, answers: Sequence[ClipAnswer], outputs: Mapping[str, str | None]) -> None:
    rule = system.rule
    ordered = sorted(answers, key=lambda one: (not one.reason, one.score))
    shown = [one for one in ordered if not one.reason][: document.MOST_SHOWN]
    bad = [one for one in ordered if one.reason][: document.MOST_SHOWN]
    parts: list[DocumentPart] = [document.answers_table([*shown, *bad], rule, notes=False)]
    names = document.names_below(answer.path for answer in [*shown, *bad])
    for answer in [*shown, *bad]:
        if note := document.clip_notes(answer, rule):
            parts.append(DocumentText(f"{names[answer.path]}: {note}", "warning" if answer.warnings else ""))
    if len(answers) > len(shown) + len(bad):
        text = f"{len(answers) - len(shown) - len(bad)} more: csv=FILE lists all."
        parts.append(DocumentText(text, "small"))
    if len(answers) > 1:
        parts.append(DocumentText(document.summary_text(answers)))
    parts.append(DocumentText(document.rule_text(rule), "small"))
    parts += [DocumentText(f"Warning: {warning}", "warning") for warning in rule.warnings]
    written = [f"{key:<10} {place}" for key, place in outputs.items() if place]
    show_document_parts([*parts, *map(DocumentText, written)])


def detect_stream(system: DetectionSystem, cfg: DictConfig, stream: BinaryIO) -> None:
    """Score standard input as it comes, and print a line for each window.

    Raises:
        ValueError: if several detectors are given, files are to be written, or the stream is no 16-bit audio.
    """
    if len(system.detectors) > 1:
        raise ValueError("A stream takes one detector: give a single model.")
    for key in OUTPUTS:
        if cfg[key]:
            raise ValueError(f"{key}={cfg[key]} is for files: a stream prints a line for each window.")
    for key in ("preset", "strict_length"):
        if cfg[key]:
            raise ValueError(f"{key}={cfg[key]} is for files: a stream is scored window by window.")
    if cfg.aggregate != "mean":
        raise ValueError(f"aggregate={cfg.aggregate} is for files: a stream is scored window by window.")
    first = stream.read(12)
    rate, channels, size = cfg.pcm_rate, 1, 0
    if first[:4] == b"RIFF" and first[8:] == b"WAVE":
        (rate, channels, size), first = _wav_header(stream), b""
    options = system.options
    detector = StreamingDetector(system.detectors[0], rate, options.hop_seconds, options.window_seconds)
    rule, console = system.rule, plain_console()
    for warning in rule.warnings:
        say(f"Warning: {warning}")
    logged = 0.0  # end of the last window in the log

    def show(windows: Sequence[StreamWindow]) -> None:
        nonlocal logged
        for window in windows:
            score = window.llr if rule.calibrated else window.score
            chance = rule.fake_probability(score)
            fake = f"  fake {probability_text(chance)}" if rule.calibrated else ""
            times = f"{window.start_seconds:8.2f} - {window.end_seconds:8.2f} s"
            silent = window.level_db < SILENT_DBFS
            answer = UNSURE if silent else rule.predict(score) or "-"
            console.print(f"{times}  {answer:<6}  {score:+8.2f}{fake}{'  silence' if silent else ''}", soft_wrap=True)
            if log is not None and window.start_seconds >= logged:  # windows that overlap say little more
                log_window(log, window, score, rule)
                logged = window.end_seconds

    with open_log(cfg.log, system, "stream") as log:
        for samples in _pcm_chunks(stream, first, channels, size):
            show(detector.add(samples))
        show(detector.finish())


def _pcm_chunks(stream: BinaryIO, rest: bytes, channels: int, size: int) -> Iterator[np.ndarray]:
    """Yield chunks (samples, channels); `size` is the number of bytes, 0 if it is not known."""
    width, left = 2 * channels, size or math.inf
    while True:
        most = int(min(READ_BYTES, left))
        # read1 returns what is there, so that a slow stream is scored without delay.
        data = stream.read1(most) if hasattr(stream, "read1") else stream.read(most)
        left -= len(data)
        rest += data
        whole = len(rest) // width * width
        yield np.frombuffer(rest[:whole], "<i2").reshape(-1, channels)
        rest = rest[whole:]
        if not data:
            return


def _wav_header(stream: BinaryIO) -> tuple[int, int, int]:
    """Read a WAV stream up to its samples, and return sample rate, channels and bytes of samples (0 if not known)."""
    rate, channels = 0, 0
    while len(head := stream.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name == b"data":
            if not rate:
                break
            return rate, channels, size if size < STREAMED_SIZE else 0
        if size > READ_BYTES:
            break
        body = stream.read(size + size % 2)
        if name == b"fmt " and len(body) >= 16:
            kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", body[:16])
            if kind not in (1, 0xFFFE) or bits != 16 or not 1 <= channels <= 64:
                raise ValueError(
                    f"The WAV stream has format {kind} with {bits} bits and {channels} channels: send 16-bit PCM, for "
                    "example from ffmpeg -i INPUT -f s16le -ac 1 -ar 16000 -"
                )
    raise ValueError("The WAV stream has no format or no samples: send 16-bit PCM.")
