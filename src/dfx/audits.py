"""Audits that were made, by corpus: what a detector has to beat on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dfx.manifest import Manifest
from dfx.store import cache_dir


def place(manifest: Manifest, files: str, cache: str | Path | None = None) -> Path:
    """File of the audit of a corpus as it is now; another one when rows or files change.

    Args:
        manifest: the corpus.
        files: `store.fingerprint` of it.
        cache: folder of what dfx keeps; `cache_dir()` if None.
    """
    root = Path(cache).expanduser() if cache else cache_dir()
    return root.absolute() / "audits" / f"{manifest.hash}-{files}.json"


def to_beat(manifest: Manifest, files: str, cache: str | Path | None = None) -> dict[str, Any] | None:
    """What models that never listen reach on the eval split of a corpus; None where it was not audited.

    The arguments are those of `place`.

    Returns:
        `auc` and its 95 % interval `low` and `high`, `eer` (None where it is not known), `name` of the best such model,
        and `text`, all that in a sentence.
    """
    try:
        report = json.loads(place(manifest, files, cache).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    headline = report.get("headline")
    return headline if isinstance(headline, dict) and headline.get("auc") is not None else None
