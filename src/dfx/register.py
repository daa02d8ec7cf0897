"""Command `python -m dfx.register`: register a detector with its model card, and name the champion."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from dfx import console, files
from dfx.cli import prompt
from dfx.config import overrides

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from dfx.detector.scoring import SavedDetector
    from dfx.tracking.runs import ModelRecord, RunRecord

EXAMPLES = """
  python -m dfx.register runs:/RUN_ID alias=champion         register the detector of a run, and name it the champion
  python -m dfx.register runs:/SWEEP_ID alias=champion       of a sweep: the cell that dev chose
  python -m dfx.register best.ckpt alias=challenger          of a run that is known by its checkpoint
  python -m dfx.register runs:/RUN_ID alias=champion control=control.csv
                                                             only if it is not worse than the champion there
  python -m dfx.register models:/dfx/3 alias=champion        roll back (or forward) to a version
  python -m dfx.register models:/dfx@champion                check the files of a version, and show it
dfx.detect without model= asks the champion. Server:
mlflow models serve -m models:/dfx@champion --env-manager local --port 5001
""".strip("\n")
USAGE = "PLACE [alias=ALIAS] [KEY=VALUE ...]"


def main() -> None:
    """Run the command `python -m dfx.register`."""
    places, sys.argv[1:] = overrides.split_words(sys.argv[1:])

    def job(cfg: DictConfig) -> None:
        if len(places) > 1:
            raise ValueError(f"One detector is registered at a time, got {', '.join(places)}: repeat the command.")
        cfg.model = places[0] if places else cfg.model
        register(cfg)

    prompt.run_command("register", EXAMPLES, job, USAGE)


def register(cfg: DictConfig) -> str:
    """Register a detector or take a registered version, point an alias to it, and return its place.

    Raises:
        ValueError: if there is no such detector, its run is not finished, or its files were changed.
    """
    _check_keys(cfg)
    from dfx.reporting.document import show_document_parts
    from dfx.reporting.document_parts import DocumentText
    from dfx.tracking import registry, runs

    place = str(cfg.model)
    if place.startswith("models:/") and not place.startswith("models:/m-"):
        model = _checked(runs.get_model(place, cfg.cache), place, cfg)[0]
        name, number = model.name, model.number
    else:
        name = cfg.name
        number = _register_run(_run_of(place, cfg), cfg)
    if cfg.control:
        _require_not_worse(name, number, cfg)
    before = registry.set_alias(name, cfg.alias, number) if cfg.alias else ""
    model = runs.get_model(f"models:/{name}/{number}", cfg.cache)
    lines = [f"version    {_described(model)}", f"files      {model.folder}, with the hashes that MLflow has"]
    if cfg.alias:
        lines.append(f"{cfg.alias:<10} models:/{name}@{cfg.alias} is version {number} now")
        if before and before != number:
            was = runs.get_model(f"models:/{name}/{before}", cfg.cache)
            lines[-1] += f"; before it was {_described(was)}"
            lines.append(f"roll back  python -m dfx.register models:/{name}/{before} alias={cfg.alias}")
        elif before:
            lines[-1] += ", as before"
    target = f"models:/{name}@{cfg.alias}" if cfg.alias else f"models:/{name}/{number}"
    lines.append(f"serve      mlflow models serve -m {target} --env-manager local --port 5001")
    show_document_parts([DocumentText(line) for line in lines])
    return f"models:/{name}/{number}"


def _check_keys(cfg: DictConfig) -> None:
    if not cfg.model:
        raise ValueError(
            "There is no detector to register: give runs:/RUN_ID, a checkpoint, or models:/NAME/VERSION; see --help."
        )
    if cfg.alias is not None and not re.fullmatch(r"(?!v\d+$|latest$)[\w-]+", str(cfg.alias), re.ASCII):
        raise ValueError(f"alias={cfg.alias}: use letters, digits, - and _; latest and v1, v2 … mean versions.")
    if cfg.control and not cfg.alias:
        raise ValueError(f"control={cfg.control} decides whether an alias moves: add alias=champion.")
    if not 0 <= cfg.margin < 0.5:
        raise ValueError(f"margin={cfg.margin}: it is a difference of error rates, 0 or more and below 0.5.")
    if not cfg.name or set(cfg.name) & set("/:@"):
        raise ValueError(f"name={cfg.name}: the name of a registered model has no /, : or @.")


def _run_of(place: str, cfg: DictConfig) -> RunRecord:
    """Find the finished run of a detector; of a sweep, the run that dev chose."""
    from dfx.tracking import runs
    from dfx.tracking.place import CHECKPOINT, DIGEST

    if place.startswith("runs:/"):
        run = runs.get_run(place.removeprefix("runs:/").partition("/")[0])
    elif place.startswith("models:/"):
        model = runs.get_model(place, cfg.cache)
        if model.run is None:
            raise ValueError(f"{place} comes from no run: give the run of dfx.train that made it.")
        run = model.run
    else:
        from dfx.detector import loading

        file, _ = loading.find_detector_file(place, cfg.cache)
        digest = files.file_digest(file)
        known = runs.find_runs(query=f"tags.`{DIGEST}{Path(CHECKPOINT).name}` = '{digest}'")
        if not known:
            raise ValueError(
                f"{place} is the checkpoint of no run in this MLflow (SHA-256 {digest[:16]}…): its data and results "
                "are not known, and a model card must state them. Give the run, or set MLFLOW_TRACKING_URI to the "
                "place that has it."
            )
        run = known[0]
    if run.tags.get("kind") == "sweep":
        run = _chosen_by_dev(run)
    if "config_hash" not in run.tags:
        raise ValueError(f"{place} ({run.name}) is no run of dfx.train: give one that has trained a detector.")
    if run.status != "FINISHED":
        raise ValueError(
            f"{place} ({run.name}) is not finished, its status is {run.status}: repeat its command, which goes on "
            "where it stopped, and register it then."
        )
    return run


def _chosen_by_dev(parent: RunRecord) -> RunRecord:
    """Choose a run of a sweep: of the cell with the lowest mean EER on dev, the seed with the lowest; never by eval."""
    from dfx.reporting import grid
    from dfx.reporting.document_parts import counted
    from dfx.tracking import runs

    if parent.status in ("RUNNING", "KILLED"):
        raise ValueError(
            f"The sweep {parent.name} is not finished, its status is {parent.status}: repeat its command, and register "
            "its choice then."
        )
    found = runs.find_runs(sweep=parent.run_id)
    finished = [run for run in found if run.status == "FINISHED"]
    made = grid.grid_of_sweep(found, parent.run_id, json.loads(parent.tags["axes"]))
    best = made.best_on_dev()
    if best is None:
        raise ValueError(f"The sweep {parent.name} has no finished cell: repeat its command.")
    run = min(best.runs, key=lambda one: (one.metrics["dev/eer"], -one.metrics.get("dev/auc", 0.0)))
    cell = best.name if made.axes[1] else best.row
    cell = "the only setting" if cell == "all" else cell
    rates = f"mean EER on dev {100 * best.mean('dev/eer'):.2f} % over {counted(len(best.runs), 'seed')}"
    cells = f"of {counted(len(finished), 'finished run')} and {len(found) - len(finished)} without a result"
    own = f"{run.name}, its best seed on dev ({100 * run.metrics['dev/eer']:.2f} %)" if len(best.runs) > 1 else run.name
    console.say(f"dev chose {cell}, {rates}, {cells}: {own}.")
    return run


def _checked(model: ModelRecord, place: str, cfg: DictConfig) -> tuple[ModelRecord, SavedDetector]:
    """Check the files of a model against the hashes in MLflow, and open its detector."""
    from dfx.detector import loading
    from dfx.tracking import registry

    registry.check_model_files(model, place)
    return model, loading.load_detector(place, cfg.trust, cfg.cache)


def _register_run(run: RunRecord, cfg: DictConfig) -> str:
    """Register the model of a run with its card and the pt2 program; return the number of the version."""
    from dfx.detector import loading
    from dfx.reporting.model_card import model_card
    from dfx.tracking import audits, registry, runs
    from dfx.tracking.place import DIGEST

    file, _ = loading.find_detector_file(f"runs:/{run.run_id}", cfg.cache)
    place = f"models:/{registry.log_model(run.run_id, file)}"
    model, detector = _checked(runs.get_model(place, cfg.cache), place, cfg)
    known = registry.find_version(cfg.name, model.model_id)
    if known:
        console.say(f"{run.name} is registered already, as version {known} of {cfg.name}.")
        return known
    with tempfile.TemporaryDirectory() as folder:
        # A second program would not have the hash that a version with another name has noted.
        has_program = f"{DIGEST}{registry.PROGRAM}" in model.tags
        program = None if has_program else _write_program(detector, cfg, Path(folder))
        holds = "The model also holds a pt2 program from waveform to score." if program or has_program else ""
        audit = audits.latest_audit(run.tags.get("manifest_hash", ""), cfg.cache)
        card = model_card(run, detector, audit, cfg.licence, holds).markdown()
        registry.complete_model(model.model_id, program, card)
    return registry.register_version(cfg.name, runs.get_model(place, cfg.cache), card)


def _require_not_worse(name: str, number: str, cfg: DictConfig) -> None:
    """Raise a ValueError unless a version is shown not to be worse than the version that has the alias."""
    from dfx.detector import control_set, loading
    from dfx.tables.manifest_reading import read_manifest
    from dfx.tracking import registry

    control = read_manifest(cfg.control)
    before = registry.version_of_alias(name, cfg.alias)
    if before in ("", number):
        console.say(f"No other version has the alias {cfg.alias}: there is nothing to compare with.")
        return
    places = [f"models:/{name}/{version}" for version in (number, before)]
    new, old = (loading.load_detector(place, cfg.trust, cfg.cache) for place in places)
    test = control_set.compare_on_control(new, old, control, cfg.cache)
    if not test.not_worse(cfg.margin):
        raise ValueError(
            f"{cfg.alias} stays {places[1]}: {places[0]} is registered, but not shown to be as good ({test}; more than "
            f"{100 * cfg.margin:+.2f} points cannot be ruled out). Improve the detector, or take more control "
            "recordings if the interval is wide."
        )
    if registry.version_of_alias(name, cfg.alias) != before:
        raise ValueError(f"{cfg.alias} has moved while {places[0]} was compared with {places[1]}: repeat the command.")
    console.say(f"{places[0]} is not worse than {places[1]}: {test}.")


def _write_program(detector: SavedDetector, cfg: DictConfig, folder: Path) -> Path | None:
    """Write the detector as a pt2 program from waveform to score; None if a part of it cannot be exported."""
    from dfx.detector import exporting, loading
    from dfx.detector.network import CONFIG_KEY
    from dfx.detector.operating_card import CARD_KEY

    file = folder / "model.pt2"
    network = loading.load_network(detector.file, cfg.trust)
    # JSON only: MLflow takes other text in the archive for a pickle.
    texts = {
        key: text for key, text in exporting.export_metadata(detector, "").items() if key in (CONFIG_KEY, CARD_KEY)
    }
    try:
        exporting.export_detector(detector, network, file, "pt2", texts)
    except ValueError as error:
        console.say(f"The model has a checkpoint and no pt2 program: {error}")
        return None
    return file


def _described(model: ModelRecord) -> str:
    name = model.run.name if model.run else "of no run"
    rates = {split: model.run.metrics.get(f"{split}/eer") for split in ("dev", "eval")} if model.run else {}
    measured = "".join(f", EER on {split} {100 * rate:.2f} %" for split, rate in rates.items() if rate is not None)
    return f"models:/{model.name}/{model.number} ({name}{measured})"


if __name__ == "__main__":
    main()
