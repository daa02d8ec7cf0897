"""Everything that runs of a corpus need and that is made once, made now: `python -m dfx.prepare`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dfx import console
from dfx.cli import prompt

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from dfx.tables.manifest import Manifest

EXAMPLES = """
  python -m dfx.prepare                                            the demo corpus
  python -m dfx.prepare dataset=asvspoof5 dataset.root=DIR         a corpus of the field, before the first run
  python -m dfx.prepare dataset=asvspoof5 cache=DIR num_workers=8  into another folder, with eight processes
  python -m dfx.prepare dataset=asvspoof5 shard=3 num_shards=16    one of sixteen shares, numbered from 0
  python -m dfx.prepare -m dataset=asvspoof5 num_shards=16 'shard=range(16)'   all, wherever Hydra's launcher sends them
Shards may run at the same time, on hosts that see the corpus and the cache under the same paths; the last one
finishes the store. An interrupted one continues where it stopped.
""".strip("\n")


def main() -> None:
    """The command."""
    prompt.run("prepare", EXAMPLES, prepare)


def prepare(cfg: DictConfig) -> None:
    """Make the corpus of a configuration and its waveform store, or a shard of the store.

    Raises:
        ValueError: if there is no such shard, the corpus is not laid out as expected, or too many of its files are bad.
    """
    from dfx.audio import store
    from dfx.detector import checks

    checks.check(cfg)
    store.check_shard(cfg.shard, cfg.num_shards)
    from dfx.detector import build

    dataset = build.dataset(cfg)
    corpus = dataset.manifest()
    console.say_findings(dataset.findings)
    console.say(_counts(corpus))
    if dataset.vectors() is not None:
        console.say("It holds ready features and no audio: there is nothing to decode.")
        return
    began = time.perf_counter()
    shard = store.build_shard(
        corpus, cfg.sample_rate, cfg.shard, cfg.num_shards, cfg.cache, num_workers=cfg.num_workers
    )
    seconds = time.perf_counter() - began
    if cfg.num_shards > 1:
        console.say(
            f"Shard {cfg.shard} of {cfg.num_shards}: {shard.num_files:,} files, {shard.num_bad:,} of them bad"
        )
    if shard.num_decoded:
        console.say(
            f"Decoded {shard.num_decoded:,} files in {seconds:,.1f} s, {shard.num_decoded / seconds:,.0f} a second"
        )
    if not shard.whole:
        console.say(f"Other shards of {shard.path} are not done yet; the last one finishes the store.")
        return
    made = store.open_store(
        corpus, cfg.sample_rate, cfg.cache, cfg.max_bad_fraction, num_workers=cfg.num_workers
    )
    samples = int(made.lengths[made.lengths > 0].sum())
    console.say(
        f"The waveform store {made.path} is whole: {samples / cfg.sample_rate / 3600:,.2f} hours, "
        f"{2 * samples / 2**20:,.1f} MiB, {len(made.bad):,} bad files"
        + (f", {made.path / 'bad_files.csv'} says why" if len(made.bad) else "")
    )


def _counts(corpus: Manifest) -> str:
    """The corpus in a line: utterances, and how many of each class in each split."""
    splits = [
        f"{split} {' + '.join(f'{count:,} {word}' for word, count in row.items())}".replace(
            "bonafide", "bona fide"
        )
        for split, row in corpus.counts().iterrows()
    ]
    return f"{corpus.name}: {len(corpus):,} utterances; {', '.join(splits)}"


if __name__ == "__main__":
    main()
