"""Command `python -m dfx.evaluate`: measure detectors and score files on any corpora."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfx.cli import prompt

if TYPE_CHECKING:
    from omegaconf import DictConfig

EXAMPLES = """
  python -m dfx.evaluate scores=FILE key=FILE                a score file of any system, in any official format
  python -m dfx.evaluate scores=FILE asv=FILE                ASVspoof 2019: the score file has labels; with t-DCF
  python -m dfx.evaluate 'scores=[A.txt,B.txt]' key=FILE     two systems: is the difference more than chance?
  python -m dfx.evaluate scores=FILE key=FILE dev_scores=FILE dev_key=FILE calibrate=true
  python -m dfx.evaluate model=runs:/RUN_ID                a run of dfx.train, from the scores that it stored
  python -m dfx.evaluate model=best.ckpt dataset=demo      a checkpoint (or model.onnx) on a corpus
  python -m dfx.evaluate 'model={lcnn: runs:/ID, other: runs:/ID}' dataset=asvspoof2019_la \\
      'others=[asvspoof2021_la,in_the_wild:all]' +corpora.in_the_wild.root=DIR 'by=[attack,codec]'
                                                             two systems × three corpora, by attack and codec
  python -m dfx.evaluate 'model=[runs:/ID,runs:/ID]' dataset=demo fuse=logistic eval_crop=sliding
""".strip("\n")


def main() -> None:
    """Run the command `python -m dfx.evaluate`."""
    prompt.run_command("evaluate", EXAMPLES, evaluate)


def evaluate(cfg: DictConfig) -> None:
    """Score and measure all systems, then write, show and log the report.

    Raises:
        ValueError: if there is nothing to measure, or files and corpora do not fit each other.
    """
    from dfx.detector import checks
    from dfx.evaluate import calibration_fusion, cross_checks, inputs, report
    from dfx.evaluate.measurements import measure_results

    inputs.check_input_keys(cfg)
    checks.check_config(cfg)
    results = cross_checks.with_asv_rates(cross_checks.with_input_findings(inputs.collect_inputs(cfg)), cfg)
    results = cross_checks.with_contrary_columns(results, cfg.by)
    fused = cross_checks.with_input_findings(calibration_fusion.fuse_results(results, cfg.fuse)) if cfg.fuse else []
    calibrated = calibration_fusion.calibrate_results(results) if cfg.calibrate else []
    measured = measure_results([*results, *fused, *calibrated], cfg)
    document = report.evaluation_document(measured)
    files = report.write_evaluation_report(document, measured, cfg.out)
    document.show(files[0])  # before logging: the tracking server may be out of reach
    from dfx.tracking.run import log_report

    hashes = sorted({result.table.trials_hash for result in results})
    tags = {"kind": "evaluation", "trials_hash": ", ".join(hashes)}
    log_report(cfg.experiment_name, document.title, files, report.evaluation_mlflow_metrics(measured), tags)


if __name__ == "__main__":
    main()
