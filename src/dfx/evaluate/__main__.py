"""Measure detectors, and scores that others made, on any corpora: `python -m dfx.evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfx.cli import prompt

if TYPE_CHECKING:
    from omegaconf import DictConfig

PURPOSE = "measure detectors, or scores that others made, on any corpora; compare, calibrate and fuse them"
EXAMPLES = """
  python -m dfx.evaluate scores=FILE key=FILE                a score file of any system, in any official format
  python -m dfx.evaluate scores=FILE asv=FILE                ASVspoof 2019: the key is in the file; with t-DCF
  python -m dfx.evaluate 'scores=[A.txt,B.txt]' key=FILE     two systems: is the difference more than chance?
  python -m dfx.evaluate scores=FILE key=FILE dev_scores=FILE dev_key=FILE calibrate=true
  python -m dfx.evaluate systems=runs:/RUN_ID                a run of dfx.train, by the scores that it kept
  python -m dfx.evaluate systems=best.ckpt dataset=demo      a checkpoint (or model.onnx) on a corpus
  python -m dfx.evaluate 'systems={lcnn: runs:/ID, other: runs:/ID}' dataset=asvspoof2019_la \\
      'others=[asvspoof2021_la,in_the_wild:all]' +corpora.in_the_wild.root=DIR 'by=[attack,codec]'
                                                             two systems × three corpora, by attack and codec
  python -m dfx.evaluate 'systems=[runs:/ID,runs:/ID]' dataset=demo fuse=logistic eval_crop=sliding
""".strip("\n")


def main() -> None:
    """The command."""
    prompt.run("evaluate", PURPOSE, EXAMPLES, evaluate)


def evaluate(cfg: DictConfig) -> None:
    """Score what is not scored yet, measure, show and keep it.

    Raises:
        ValueError: if there is nothing to measure, or files and corpora do not fit each other.
    """
    from dfx.detector import checks
    from dfx.evaluate import collect, derive, publish, report

    collect.check(cfg)
    checks.check(cfg)
    results = collect.doubted(collect.gather(cfg))
    fused = collect.doubted(derive.fused(results, cfg.fuse)) if cfg.fuse else []
    calibrated = derive.calibrated(results) if cfg.calibrate else []
    made = report.make([*results, *fused, *calibrated], collect.settings(cfg), cfg.compare)
    files = publish.write(made, cfg.out)
    publish.show(made, files[0])  # first: whoever keeps the runs may be out of reach
    from dfx.tracking.run import log_report

    hashes = sorted({result.table.trials_hash for result in results})
    tags = {"kind": "evaluation", "trials_hash": ", ".join(hashes)}
    log_report(cfg.experiment_name, made.title, files, publish.metrics(made), tags)


if __name__ == "__main__":
    main()
