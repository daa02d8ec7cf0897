"""Prepare a corpus for the first run by decoding its audio, or clean up the stores of decoded audio.

`python -m dfx.prepare`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dfx import console
from dfx.cli import prompt

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from dfx.tables.manifest import Manifest

EXAMPLES = """
  python -m dfx.prepare                                            the demo corpus
  python -m dfx.prepare dataset=asvspoof5 dataset.root=DIR         a corpus of the field, before the first run
  python -m dfx.prepare dataset=asvspoof5 cache=DIR num_workers=8  into another folder, with eight processes
  python -m dfx.prepare dataset=asvspoof5 shard=3/16               one of sixteen shares, 0/16 to 15/16
  python -m dfx.prepare -m dataset=asvspoof5 shard=0/4,1/4,2/4,3/4 all of them, wherever Hydra's launcher sends them
  python -m dfx.prepare verify=true                                compare the checksums of all stores
  python -m dfx.prepare compact=true                               merge the small parts of all stores
  python -m dfx.prepare clean=true                                 list what belongs to no file on disk any more
  python -m dfx.prepare clean=true confirm=true                    and remove it
Shares may be made at the same time, on hosts that see the corpus and the cache under the same paths. What is
interrupted continues where it stopped.
""".strip("\n")


def main() -> None:
    """Run the command `dfx prepare`."""
    prompt.run_command("prepare", EXAMPLES, prepare)


def prepare(cfg: DictConfig) -> None:
    """Prepare a corpus and its waveform store, or clean up all stores.

    With a shard, only this share of the files is decoded.

    Raises:
        ValueError: if there is no such shard, the corpus is not laid out as expected, or too many of its files are bad.
    """
    from dfx.audio import store
    from dfx.audio.parts import DecodingLimits
    from dfx.detector import checks

    checks.check_config(cfg)
    shard, num_shards = _shard(cfg.shard)
    if cfg.compact or cfg.verify or cfg.clean:
        _tidy_up(cfg)
        return
    from dfx.detector import build

    dataset = build.build_dataset(cfg)
    corpus = dataset.manifest()
    console.say_findings(dataset.findings)
    console.say(_counts(corpus))
    if dataset.vectors() is not None:
        console.say("It holds ready features and no audio: there is nothing to decode.")
        return
    began = time.perf_counter()
    how: dict[str, Any] = {"num_workers": cfg.num_workers, "limits": DecodingLimits(**cfg.limits)}
    done = store.build_store_shard(corpus, cfg.sample_rate, shard, num_shards, cfg.cache, **how)
    seconds = time.perf_counter() - began
    if num_shards > 1:
        console.say(f"Shard {shard}/{num_shards}: {done.num_files:,} files, {done.num_bad:,} of them bad")
    if done.num_decoded:
        console.say(
            f"Decoded {done.num_decoded:,} files in {seconds:,.1f} s, {done.num_decoded / seconds:,.0f} a second"
        )
    if not done.whole:
        console.say(f"Other shards of {done.path} are not done yet.")
        return
    made = store.open_store(corpus, cfg.sample_rate, cache=cfg.cache, max_bad_fraction=cfg.max_bad_fraction, **how)
    samples = int(made.lengths[made.lengths > 0].sum())
    console.say(
        f"The waveform store {made.path} holds all of it: {samples / cfg.sample_rate / 3600:,.2f} hours, "
        f"{2 * samples / 2**20:,.1f} MiB, {len(made.bad):,} bad files"
        + (f", {made.bad_files} says why" if len(made.bad) else "")
    )


def _shard(text: str | None) -> tuple[int, int]:
    """Parse shard text such as "3/16" into the shard number and the number of shards."""
    if text is None:
        return 0, 1
    number, _, count = str(text).partition("/")
    if not (number.isdecimal() and count.isdecimal() and int(number) < int(count)):
        raise ValueError(
            f"There is no shard {text}: shards are numbered from 0, so give one such as 0/4, 1/4, 2/4 or 3/4."
        )
    return int(number), int(count)


def _tidy_up(cfg: DictConfig) -> None:
    from dfx.audio import store_upkeep

    for folder in store_upkeep.store_folders(cfg.cache):
        if cfg.verify:
            count, damaged = store_upkeep.verify_store(folder)
            console.say(f"{folder}: {count:,} parts, {damaged:,} of them damaged; bad files are tried again")
        if cfg.compact:
            console.say(f"{folder}: {store_upkeep.compact_store(folder):,} parts fewer")
        if cfg.clean:
            stale = store_upkeep.clean_store(folder, cfg.confirm)
            done = "removed" if cfg.confirm else "confirm=true removes them"
            console.say(
                f"{folder}: {stale.recordings:,} recordings ({stale.num_bytes / 2**20:,.1f} MiB) belong to no file on "
                f"disk ({done}); {stale.absent:,} in folders that are absent are left alone"
            )


def _counts(corpus: Manifest) -> str:
    """Describe a corpus in one line: number of utterances in all, and of each class in each split."""
    splits = [
        f"{split} {' + '.join(f'{count:,} {word}' for word, count in row.items())}".replace("bonafide", "bona fide")
        for split, row in corpus.counts().iterrows()
    ]
    return f"{corpus.name}: {len(corpus):,} utterances; {', '.join(splits)}"


if __name__ == "__main__":
    main()
