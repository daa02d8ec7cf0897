"""Audits that were made, by corpus: what a detector has to beat on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dfx.files import cache_dir
from dfx.tables.manifest import Manifest


def place(manifest: Manifest, files: str, cache: str | Path | None = None) -> Path:
    """File of the audit of a corpus as it is now; another one when rows or files change.

    Args:
        manifest: the corpus.
        files: `store.fingerprint` of it.
        cache: folder of what dfx keeps; `cache_dir()` if None.
    """
    return _folder(cache) / f"{manifest.hash}-{files}.json"


def to_beat(manifest: Manifest, files: str, cache: str | Path | None = None) -> dict[str, Any] | None:
    """What models that never listen reach on the eval split of a corpus; None where it was not audited.

    The arguments are those of `place`.

    Returns:
        `auc` and its 95 % interval `low` and `high`, `eer` (None where it is not known), `name` of the best such model,
        and `text`, all that in a sentence.
    """
    return _headline(place(manifest, files, cache))


def latest(manifest_hash: str, cache: str | Path | None = None) -> dict[str, Any] | None:
    """The same for a corpus of which only the hash is known, `Manifest.hash`; of several audits the newest.

    Its files are not looked at: the audit may be of others under the same names.
    """
    found = _folder(cache).glob(f"{manifest_hash}-*.json") if manifest_hash else ()
    newest = sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
    return next((known for path in newest if (known := _headline(path))), None)


def _folder(cache: str | Path | None) -> Path:
    root = Path(cache).expanduser() if cache else cache_dir()
    return root.absolute() / "audits"


def _headline(path: Path) -> dict[str, Any] | None:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    headline = report.get("headline")
    return headline if isinstance(headline, dict) and headline.get("auc") is not None else None
