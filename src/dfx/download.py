"""A published corpus, fetched, checked and unpacked: `python -m dfx.download`."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfx import console, files
from dfx.cli import prompt
from dfx.datasets.download.fetch import Source, fetch, sources
from dfx.datasets.download.unpack import unpack
from dfx.detector import checks

if TYPE_CHECKING:
    from omegaconf import DictConfig

EXAMPLES = """
  python -m dfx.download dataset=asvspoof2019_la list_only=true   what it would fetch, its size and its licence
  python -m dfx.download dataset=asvspoof2019_la data=DIR         into DIR/asvspoof2019_la
  DFX_DATA=DIR python -m dfx.download dataset=ljspeech            the same folder for every command
  python -m dfx.download dataset=wavefake keep_archives=true      and keep what was downloaded
  python -m dfx.download dataset=in_the_wild                      not published with a checksum: says where it is
The same command continues an interrupted download. Archives that you have already can be put into
DIR/NAME/archives under the names that list_only shows.
""".strip("\n")

DATA = "DFX_DATA"  # as in dfx.datasets.corpus, which takes a second to import
ARCHIVES = "archives"  # below the folder of the corpus: what was downloaded, and a note of what was unpacked
UNPACKED = 1.5  # what the contents of an archive take of its size: FLAC 1, WAV in zip or bz2 up to 1.4


def main() -> None:
    """The command."""
    prompt.run("download", EXAMPLES, download)


def download(cfg: DictConfig) -> None:
    """Fetch, check and unpack the corpus of a configuration, then read it.

    Raises:
        ValueError: if the corpus is not published in this way, there is no room, a file cannot be fetched or does not
            have its checksum, or the corpus cannot be read afterwards.
    """
    from omegaconf import OmegaConf

    name = _name(cfg)
    facts: Any = OmegaConf.to_container(cfg.dataset.get("facts") or OmegaConf.create(), resolve=True)
    if not facts.get("page"):
        raise ValueError(
            f"dataset={name} is not a published corpus, so there is nothing to download: name one, dataset=NAME; "
            "python -m dfx.download --help lists them."
        )
    wanted = sources(facts.get("downloads") or [])
    folder = _folder(cfg, facts, name)
    checks.check(cfg)  # a wrong option is found before 140 GB are here, not after
    _describe(name, facts, wanted, folder)
    if not wanted:
        raise ValueError(
            f"{name} has no published address with a checksum, so dfx does not download it: obtain it from "
            f"{facts['page']} and give its folder, dataset.root=DIR, or put it below ${DATA} as {_first(facts, name)}."
        )
    if cfg.list_only:
        return
    if folder is None:
        raise ValueError(f"There is no folder to put {name} into: give one, data=DIR, or set ${DATA}.")
    archives = folder / ARCHIVES
    with files.locked(archives, "downloading into", console.say):
        missing = [source for source in wanted if not _is_unpacked(source, archives, folder)]
        _check_room(missing, archives, cfg.keep_archives)
        for source in missing:
            _take(source, archives, folder, cfg.keep_archives)
    _read(cfg, name, facts, folder)


def _take(source: Source, archives: Path, folder: Path, keep: bool) -> None:
    """Fetch and unpack one archive, and note that this is done."""
    archive = fetch(source, archives)
    held = unpack(archive, folder, source.strip)
    note = {"url": source.url, "digest": source.digest, "holds": held}
    _note(source, archives).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    if not keep:
        archive.unlink()


def _note(source: Source, archives: Path) -> Path:
    return archives / f"{source.file}.unpacked"


def _is_unpacked(source: Source, archives: Path, folder: Path) -> bool:
    """Whether this very file was unpacked here before, and what it put here is still there."""
    try:
        note = json.loads(_note(source, archives).read_text(encoding="utf-8"))
        return note["digest"] == source.digest and all((folder / held).exists() for held in note["holds"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _check_room(missing: list[Source], archives: Path, keep: bool) -> None:
    names = [source.file + suffix for source in missing for suffix in ("", ".part")]
    here = sum(path.stat().st_size for name in names if (path := archives / name).is_file())
    sizes = [source.size for source in missing]
    packed = sum(sizes) if keep else max(sizes, default=0)  # archives go one by one
    need = packed + UNPACKED * sum(sizes) - here
    free = shutil.disk_usage(archives).free
    if need > free:
        raise ValueError(
            f"The corpus needs about {_size(need)} at {archives.parent}, archives and contents, but {_size(free)} are "
            "free: make room, or give another folder, data=DIR."
        )


def _read(cfg: DictConfig, name: str, facts: dict[str, Any], folder: Path) -> None:
    """Read the corpus as every command will, and say what it holds or what is still to be done."""
    from omegaconf import OmegaConf

    from dfx.detector import build

    if facts.get("by_hand"):
        _say(f"Not part of the download: {facts['by_hand']}")
    OmegaConf.update(cfg, "dataset.root", str(folder), force_add=True)
    dataset = build.dataset(cfg)
    try:
        manifest = dataset.manifest()
    except ValueError as error:
        raise ValueError(
            f"What is published of {name} lies in {folder}, but it cannot be read yet: {error}"
        ) from error
    console.say_findings(dataset.findings)
    _say(f"{name} is in {folder}:")
    _say(manifest.counts().to_string())
    where = (
        "" if os.environ.get(DATA) and folder.parent == _base(os.environ[DATA]) else f" dataset.root={folder}"
    )
    _say(f"Next: python -m dfx.audit dataset={name}{where}")


def _describe(name: str, facts: dict[str, Any], wanted: list[Source], folder: Path | None) -> None:
    for title, value in (
        ("corpus", name),
        ("cite", facts.get("citation")),
        ("licence", facts.get("licence", "not stated: read the page")),
        ("page", facts["page"]),
        ("by hand", facts.get("by_hand")),
        ("into", folder or f"not chosen yet: data=DIR or ${DATA}"),
    ):
        if value:
            _say(f"{title:<8} {value}")
    for source in wanted:
        size = _size(source.size) if source.size else "size unknown"
        _say(f"{'file':<8} {source.file}, {size}, {source.algorithm} {source.digest}")
        _say(f"{'':<8} {source.url}")
    known = sum(source.size for source in wanted)
    if known:
        others = sum(not source.size for source in wanted)
        _say(f"{'total':<8} {_size(known)}{f' and {others} of unknown size' if others else ''}")


def _folder(cfg: DictConfig, facts: dict[str, Any], name: str) -> Path | None:
    """Where the corpus goes: `data`, `dataset.root` or `$DFX_DATA`, in this order."""
    if cfg.data:
        return _base(cfg.data) / _first(facts, name)
    if cfg.dataset.get("root"):
        return _base(cfg.dataset.root)
    return _base(os.environ[DATA]) / _first(facts, name) if os.environ.get(DATA) else None


def _base(given: str) -> Path:
    return Path(given).expanduser().absolute()


def _first(facts: dict[str, Any], name: str) -> str:
    return str((facts.get("folders") or [name])[0])


def _name(cfg: DictConfig) -> str:
    """What was typed, `dataset=NAME`."""
    from hydra.core.hydra_config import HydraConfig

    chosen = HydraConfig.get().runtime.choices.get("dataset") if HydraConfig.initialized() else None
    return str(chosen or cfg.dataset._target_.rpartition(".")[2].lower())


def _size(count: float) -> str:
    """Bytes in the units that record pages use: 7.6 GB."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"


def _say(text: str) -> None:
    from rich.console import Console

    Console(highlight=False, markup=False).print(text, soft_wrap=True)


if __name__ == "__main__":
    main()
