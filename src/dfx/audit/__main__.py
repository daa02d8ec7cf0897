"""Look at a corpus before any training: `python -m dfx.audit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfx.cli import prompt

if TYPE_CHECKING:
    from omegaconf import DictConfig

PURPOSE = "is a corpus whole, does it leak, could a detector win without listening?"
EXAMPLES = """
  python -m dfx.audit                                        the demo corpus
  python -m dfx.audit dataset=folder dataset.path=DIR        your own recordings
  python -m dfx.audit dataset=manifest dataset.path=FILE.csv
  python -m dfx.audit dataset=asvspoof2019_la dataset.root=DIR
  python -m dfx.audit dataset=... 'others=[in_the_wild]' +corpora.in_the_wild.root=DIR
                                                             the same shortcuts on another corpus
""".strip("\n")


def main() -> None:
    """The command."""
    prompt.run("audit", PURPOSE, EXAMPLES, audit)


def audit(cfg: DictConfig) -> str:
    """Audit one corpus and write, show and keep the report; returns the sentence that says what is to beat."""
    import time

    began = time.perf_counter()
    from dfx.audio.store import fingerprint
    from dfx.audit import inspect, publish
    from dfx.detector import build, checks
    from dfx.tracking import audits
    from dfx.tracking.run import log_report

    checks.check(cfg)
    if parts := [name for name in cfg.others if ":" in name]:
        raise ValueError(
            f"others: {parts[0]} names a split, but an audit looks at whole corpora: leave the split out."
        )
    dataset = build.dataset(cfg)
    found = inspect.inspect(dataset, build.others(cfg), cfg.sample_rate, cfg.seed, cfg.cache, cfg.num_workers)
    found.report["time"]["seconds"] = time.perf_counter() - began
    kept = audits.place(found.manifest, fingerprint(found.manifest), cfg.cache)
    files = publish.write(found, cfg.out, kept)
    publish.show(found.report, files[0])  # first: whoever keeps the runs may be out of reach
    name = found.manifest.name or "corpus"
    log_report(
        cfg.experiment_name,
        name,
        files,
        publish.metrics(found.report),
        {"dataset": name, "manifest_hash": found.manifest.hash},
    )
    headline: str = found.report["headline"]["text"]
    return headline


if __name__ == "__main__":
    main()
