"""Command `python -m dfx.train`: train a detector and measure it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfx import console
from dfx.cli import prompt

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from dfx.datasets.corpus import Dataset
    from dfx.tables.manifest import Manifest

_corpora: dict[str, tuple[Dataset, Manifest, str]] = {}  # by their configuration

EXAMPLES = """
  python -m dfx.train                                        the default run on the demo corpus
  python -m dfx.train model=lcnn feature=logmel_specavg      another pair
  python -m dfx.train -m model=lcnn,resnet18 seed=0,1,2      a sweep: every combination
  python -m dfx.train dataset=folder dataset.path=DIR        your own recordings (sub-folders real/ and fake/)
  python -m dfx.train dataset=in_the_wild dataset.root=DIR   a corpus of the field
  python -m dfx.train model=lcnn model.dropout=0.5           any key of a component
  python -m dfx.train init=models:/dfx@champion optimizer.lr=1e-4        start from the weights of a detector
  python -m dfx.train --cfg job                              the configuration, without running
  python -m dfx.train --config-dir DIR model=mine            your own components (DIR/model/mine.yaml)
""".strip("\n")


def main() -> None:
    """Run the command `python -m dfx.train`."""
    prompt.run_command("train", EXAMPLES, train)


def train(cfg: DictConfig) -> float:
    """Train and measure one configuration: show a finished run, continue an interrupted one, or start a new one.

    Returns:
        EER on dev, in [0, 1], which a sweep may minimise. Eval decides nothing.
    """
    # Here, because these import torch, Lightning and MLflow, which takes seconds.
    from dfx.config.identity import chosen_options, config_hash
    from dfx.detector import build, checks, initial_weights
    from dfx.detector.checkpoint import RunCheckpoint
    from dfx.reporting import run_results
    from dfx.tracking import audits, cells, launchers
    from dfx.tracking.run import track_run

    checks.check_config(cfg)
    dataset, manifest, files = _corpus(cfg)
    start = initial_weights.read_initial_weights(cfg)
    identity = config_hash(cfg, manifest.hash, files, init=start.digest, feature_files=start.feature_files)
    whole = cfg.data.limit_utterances is None  # an audit looks at all trials
    to_beat = audits.audited_auc(manifest, files, cfg.cache) if whole else None
    if launchers.needs_own_process(cfg.trainer) and (cfg.rerun or cells.finished_cell_dev_eer(cfg, identity) is None):
        launchers.run_in_own_process(cells.cell_command())
        error_rate = cells.finished_cell_dev_eer(cfg, identity)
        return float("nan") if error_rate is None else error_rate
    with track_run(cfg, identity, manifest, chosen_options(cfg) | cells.cell_tags() | start.tags) as run:
        if not run.finished:
            data = build.build_datamodule(cfg, manifest, dataset.vectors())
            detector = build.build_detector(cfg, data)
            checkpoint = RunCheckpoint(run.folder, cfg.patience, run.log_history)
            start.load_into(detector, checkpoint)
            trainer = build.build_trainer(cfg, [checkpoint])
            checkpoint.fit(trainer, detector, data)
            trainer.test(detector, data, ckpt_path=checkpoint.best, weights_only=True, verbose=False)
            if not trainer.is_global_zero:
                return float("nan")  # a helper process of a multi-device run; only the first process reports
            scores = {"dev": checkpoint.dev_scores(), "eval": detector.scores["eval"]}
            run_results.write_run_results(run, scores, data, checkpoint, detector, dataset.note)
            run.log_artifacts()
    return (
        run_results.show_run_results_line(run)
        if cells.is_sweep_cell()
        else run_results.show_run_results(run, dataset.note, to_beat)
    )


def _corpus(cfg: DictConfig) -> tuple[Dataset, Manifest, str]:
    """Read the dataset, its manifest and the fingerprint of its files: once for all cells of a sweep."""
    from omegaconf import OmegaConf

    from dfx.audio.store import recordings_fingerprint
    from dfx.detector import build
    from dfx.tracking import cells

    key = OmegaConf.to_yaml(cfg.dataset, resolve=True)
    if not cells.is_sweep_cell() or key not in _corpora:
        dataset = build.build_dataset(cfg)
        manifest = dataset.manifest()
        console.say_findings(dataset.findings)
        _corpora[key] = dataset, manifest, recordings_fingerprint(manifest)
    return _corpora[key]


if __name__ == "__main__":
    main()
