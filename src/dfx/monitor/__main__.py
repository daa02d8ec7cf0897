"""Command `python -m dfx.monitor`: say whether the input or the answers of a detector have drifted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfx.cli import prompt

if TYPE_CHECKING:
    from omegaconf import DictConfig

EXAMPLES = """
  python -m dfx.detect inbox/ model=best.ckpt log=answers.db      first: every answer is added to the log
  python -m dfx.monitor log=answers.db                            the last day against the dev clips of the detector
  python -m dfx.monitor log=answers.db period=1000                the last 1,000 answers
  python -m dfx.monitor log=answers.db period=12h since=2026-11-01
  python -m dfx.monitor log=answers.db reference=2026-11-01..2026-11-15
                                                                  against your own traffic, from when all was well
  python -m dfx.monitor log=answers.db model=models:/dfx@champion
Compared are the scores, the statistics of the input, the embeddings, and the shares of UNSURE and of files without an
answer.
The exit status is 0 if nothing has drifted, 4 if something has, 3 if there are too few answers, 1 for an error.
""".strip("\n")
TOO_FEW = 3
DRIFT = 4


def main() -> None:
    """Run the command `python -m dfx.monitor`."""
    prompt.run_command("monitor", EXAMPLES, monitor)


def monitor(cfg: DictConfig) -> None:
    """Compare the latest period with the reference, then write, show and log the report.

    Raises:
        ValueError: if there is no log, no reference, or an option is invalid.
        SystemExit: with status 4 if something has drifted, 3 if there are too few answers.
    """
    from pathlib import Path

    from dfx.console import say
    from dfx.monitor import report, watch
    from dfx.reporting.document import document_file_name
    from dfx.tracking.run import log_report

    watched = watch.watch_log(cfg)
    if isinstance(watched, watch.TooFewAnswers):
        say(watched.text)
        raise SystemExit(TOO_FEW)
    document = report.drift_document(watched)
    folder = Path(cfg.out).expanduser() if cfg.out else Path("mlruns") / "monitor" / document_file_name(watched.name)
    files = document.write(folder)
    document.show(files[0])
    try:
        tags = {
            "kind": "monitor",
            "detector": watched.name,
            "digest": watched.digest,
            "drift": report.drifted_text(watched),
        }
        log_report(
            cfg.experiment_name, watched.name, files, report.drift_metrics(watched), tags, report.drift_history(watched)
        )
    except Exception as error:
        if not watched.drifted:
            raise
        say(f"Warning: the report is not in MLflow ({error}).")  # the alarm is what counts
    if watched.drifted:
        raise SystemExit(DRIFT)


if __name__ == "__main__":
    main()
