"""Command `python -m dfx.report`: write a report on the runs of a sweep."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dfx.cli import prompt

if TYPE_CHECKING:
    from omegaconf import DictConfig

EXAMPLES = """
  python -m dfx.report                                       the latest sweep
  python -m dfx.report sweep=RUN_ID metric=eval/auc          another one, by the id of its parent run
  python -m dfx.report experiment_name=NAME rows=loss columns=model
  python -m dfx.report experiment_name=NAME query="tags.model = 'lcnn'" rows=feature columns=optimizer.lr
""".strip("\n")


def main() -> None:
    """Run the command `python -m dfx.report`."""
    sys.argv[1:] = map(quote_report_query, sys.argv[1:])
    prompt.run_command("report", EXAMPLES, report)


def quote_report_query(argument: str) -> str:
    """Quote the filter in `query=FILTER`, because Hydra cannot parse it otherwise.

    Other arguments, and a filter in quotes, are returned unchanged.
    """
    key, _, value = argument.partition("=")
    if key != "query" or value[:1] + value[-1:] in ("''", '""') or value == "null":
        return argument
    return "query='{}'".format(value.replace("'", r"\'"))


def report(cfg: DictConfig) -> str:
    """Write, show and log the report on the runs of a sweep; return its main result as a sentence."""
    from pathlib import Path

    from dfx.report import document, sweep_report
    from dfx.tracking.run import log_run_files

    found = sweep_report.collect_sweep_report(cfg)
    folder = Path(cfg.out).expanduser() if cfg.out else found.folder
    page = document.build_report_document(found, folder)
    files = page.write(folder, document.files_beside_document(found))
    page.show(files[0])
    if found.parent is not None:
        log_run_files(found.parent.run_id, files, "report")
    return found.lead


if __name__ == "__main__":
    main()
