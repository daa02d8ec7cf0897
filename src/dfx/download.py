"""Download a published corpus, verify and unpack it: `python -m dfx.download`."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.filesize import decimal

from dfx import console, files
from dfx.cli import prompt
from dfx.datasets.download.fetch import FetchSource, fetch_file, parse_fetch_source
from dfx.datasets.download.unpack import unpack
from dfx.detector import checks
from dfx.files import DATA

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

ARCHIVES = "archives"  # folder inside that of the corpus: downloaded archives, and records of unpacked ones
UNPACKED = 1.5  # size of the contents relative to the archive: FLAC 1, WAV in zip or bz2 up to 1.4


def main() -> None:
    """Run the command `dfx download`."""
    prompt.run_command("download", EXAMPLES, download)


def download(cfg: DictConfig) -> None:
    """Download, verify and unpack the corpus of a configuration, then read it.

    Raises:
        ValueError: if the corpus has no published address and checksum, there is no room, a file cannot be fetched or
            does not match its checksum, or the corpus cannot be read afterwards.
    """
    from omegaconf import OmegaConf

    name = _option(cfg)
    facts: Any = OmegaConf.to_container(cfg.dataset.get("facts") or OmegaConf.create(), resolve=True)
    if not facts.get("page"):
        raise ValueError(
            f"dataset={name} is not a published corpus, so there is nothing to download: name one, dataset=NAME; "
            "python -m dfx.download --help lists them."
        )
    wanted = [parse_fetch_source(entry) for entry in facts.get("downloads") or []]
    usual = str((facts.get("folders") or [name])[0])
    folder = _folder(cfg, usual)
    checks.check_config(cfg)  # report a wrong option before 140 GB are fetched, not after
    _describe(name, facts, wanted, folder)
    if not wanted:
        raise ValueError(
            f"{name} has no published address with a checksum, so dfx does not download it: obtain it from "
            f"{facts['page']} and give its folder, dataset.root=DIR, or put it below ${DATA} as {usual}."
        )
    if cfg.list_only:
        return
    if folder is None:
        raise ValueError(f"There is no folder to put {name} into: give one, data=DIR, or set ${DATA}.")
    archives = folder / ARCHIVES
    with files.locked_folder(archives, "downloading into", console.say):
        missing = [source for source in wanted if not _is_unpacked(source, archives, folder)]
        _check_space(missing, archives, cfg.keep_archives)
        for source in missing:
            archive = fetch_file(source, archives)
            names = unpack(archive, folder, source.strip)
            record = {"url": source.url, "digest": source.digest, "holds": names}
            files.write_text_file(_record(source, archives), json.dumps(record, indent=1) + "\n")
            if not cfg.keep_archives:
                archive.unlink()
    _read(cfg, name, facts, folder)


def _record(source: FetchSource, archives: Path) -> Path:
    """Path of the record of an unpacked archive, which lists its contents."""
    return archives / f"{source.file}.unpacked"


def _is_unpacked(source: FetchSource, archives: Path, folder: Path) -> bool:
    """Check whether an archive was unpacked before and its contents still exist."""
    try:
        record = json.loads(_record(source, archives).read_text(encoding="utf-8"))
        return record["digest"] == source.digest and all((folder / name).exists() for name in record["holds"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _check_space(missing: list[FetchSource], archives: Path, keep: bool) -> None:
    names = [source.file + suffix for source in missing for suffix in ("", ".part")]
    here = sum(path.stat().st_size for name in names if (path := archives / name).is_file())
    sizes = [source.size for source in missing]
    packed = sum(sizes) if keep else max(sizes, default=0)  # archives are deleted one by one
    need = int(packed + UNPACKED * sum(sizes) - here)
    free = shutil.disk_usage(archives).free
    if need > free:
        raise ValueError(
            f"The corpus needs about {decimal(need)} at {archives.parent}, archives and contents, but {decimal(free)} "
            "are free: make room, or give another folder, data=DIR."
        )


def _read(cfg: DictConfig, name: str, facts: dict[str, Any], folder: Path) -> None:
    """Read the corpus, and print its contents or the steps that the user still has to do."""
    from omegaconf import OmegaConf

    from dfx.detector import build

    if facts.get("by_hand"):
        _print(f"Not part of the download: {facts['by_hand']}")
    OmegaConf.update(cfg, "dataset.root", str(folder), force_add=True)
    dataset = build.build_dataset(cfg)
    try:
        manifest = dataset.manifest()
    except ValueError as error:
        raise ValueError(f"The published part of {name} is in {folder}, but cannot be read yet: {error}") from error
    console.say_findings(dataset.findings)
    _print(f"{name} is in {folder}:")
    _print(manifest.counts().to_string())
    below_data = os.environ.get(DATA) and folder.parent == _absolute(os.environ[DATA])
    _print(f"Next: python -m dfx.audit dataset={name}{'' if below_data else f' dataset.root={folder}'}")


def _describe(name: str, facts: dict[str, Any], wanted: list[FetchSource], folder: Path | None) -> None:
    for title, value in (
        ("corpus", name),
        ("cite", facts.get("citation")),
        ("licence", facts.get("licence", "not stated: read the page")),
        ("page", facts["page"]),
        ("by hand", facts.get("by_hand")),
        ("into", folder or f"not chosen yet: data=DIR or ${DATA}"),
    ):
        if value:
            _print(f"{title:<8} {value}")
    for source in wanted:
        size = decimal(source.size) if source.size else "size unknown"
        _print(f"{'file':<8} {source.file}, {size}, {source.algorithm} {source.digest}")
        _print(f"{'':<8} {source.url}")
    known = sum(source.size for source in wanted)
    if known:
        others = sum(not source.size for source in wanted)
        _print(f"{'total':<8} {decimal(known)}{f' and {others} of unknown size' if others else ''}")


def _folder(cfg: DictConfig, name: str) -> Path | None:
    """Choose the folder for the corpus: below `data`, else `dataset.root`, else below `$DFX_DATA`."""
    if not cfg.data and cfg.dataset.get("root"):
        return _absolute(cfg.dataset.root)
    base = cfg.data or os.environ.get(DATA)
    return _absolute(base) / name if base else None


def _absolute(given: str) -> Path:
    return Path(given).expanduser().absolute()


def _option(cfg: DictConfig) -> str:
    from hydra.core.hydra_config import HydraConfig

    chosen = HydraConfig.get().runtime.choices.get("dataset") if HydraConfig.initialized() else None
    return str(chosen or cfg.dataset._target_.rpartition(".")[2].lower())


def _print(text: str) -> None:
    console.plain_console().print(text, soft_wrap=True)


if __name__ == "__main__":
    main()
