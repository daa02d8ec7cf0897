"""Command `python -m dfx.audit`: audit a corpus before training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfx.cli import prompt

if TYPE_CHECKING:
    from omegaconf import DictConfig

EXAMPLES = """
  python -m dfx.audit                                        the demo corpus
  python -m dfx.audit dataset=folder dataset.path=DIR        your own recordings
  python -m dfx.audit dataset=manifest dataset.path=FILE.csv
  python -m dfx.audit dataset=asvspoof2019_la dataset.root=DIR
  python -m dfx.audit dataset=... 'others=[in_the_wild]' +corpora.in_the_wild.root=DIR
                                                             test the shortcuts on another corpus, too
""".strip("\n")


def main() -> None:
    """Run the command `python -m dfx.audit`."""
    prompt.run_command("audit", EXAMPLES, audit)


def audit(cfg: DictConfig) -> str:
    """Audit a corpus, then write, show and log the report; return the sentence with the AUC to beat."""
    from pathlib import Path

    from dfx.audit import report
    from dfx.audit.corpus_audit import audit_corpus
    from dfx.detector import build, checks
    from dfx.reporting.document import document_file_name
    from dfx.tracking import audits
    from dfx.tracking.run import log_report

    checks.check_config(cfg)
    if parts := [name for name in cfg.others if ":" in name]:
        raise ValueError(f"others: {parts[0]} names a split, but an audit looks at whole corpora: leave the split out.")
    dataset = build.build_dataset(cfg)
    found = audit_corpus(cfg, dataset, build.build_other_datasets(cfg))
    corpus, document = found.results["corpus"], report.audit_document(found)
    folder = Path(cfg.out).expanduser() if cfg.out else Path("mlruns") / "audit" / document_file_name(corpus["name"])
    files = document.write(folder)
    audits.keep_audit(document.data, found.manifest, corpus["files"], cfg.cache)
    document.show(files[0])
    tags = {"dataset": corpus["name"], "manifest_hash": corpus["hash"]}
    log_report(cfg.experiment_name, corpus["name"], files, report.audit_metrics(found.results), tags)
    headline: str = found.results["headline"]["text"]
    return headline


if __name__ == "__main__":
    main()
