"""Store audit results, and look up the AUC that a detector has to beat on a corpus."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dfx import files
from dfx.tables.manifest import Manifest


def keep_audit(
    results: Mapping[str, Any], manifest: Manifest, fingerprint: str, cache: str | Path | None = None
) -> None:
    """Store the results of an audit in the cache folder.

    `audited_auc` and `latest_audited_auc` find them until the corpus changes.

    Args:
        results: ready for JSON, with `headline`.
        manifest: the corpus.
        fingerprint: fingerprint of its files, from `dfx.audio.store.recordings_fingerprint`.
        cache: cache folder of dfx; the default one if None.
    """
    files.write_text_file(_path(manifest, fingerprint, cache), json.dumps(results, indent=1, allow_nan=False) + "\n")


def audited_auc(manifest: Manifest, fingerprint: str, cache: str | Path | None = None) -> dict[str, Any] | None:
    """Look up the AUC on eval that a detector has to beat on a corpus.

    None if the corpus was not audited or has changed since.

    The arguments are those of `keep_audit`.

    Returns:
        Of the best model that does not listen: `auc` and its 95 % interval `low` and `high`, `eer` (None if it is not
        known), `name`, and `text`, all that in a sentence.
    """
    return _headline(_path(manifest, fingerprint, cache))


def latest_audited_auc(manifest_hash: str, cache: str | Path | None = None) -> dict[str, Any] | None:
    """Look up the AUC to beat in the newest audit of the corpus with this `Manifest.hash`.

    The files are not compared: they may have changed since the audit.
    """
    return next((known for path in _newest(manifest_hash, cache) if (known := _headline(path))), None)


def latest_audit(manifest_hash: str, cache: str | Path | None = None) -> dict[str, Any] | None:
    """Look up the results of the newest audit of the corpus with this `Manifest.hash`; None if there is none.

    They have a `headline` and `findings`, as `keep_audit` got them.
    """
    for path in _newest(manifest_hash, cache):
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(found, dict) and isinstance(found.get("headline"), dict) and "findings" in found:
                return found
    return None


def _newest(manifest_hash: str, cache: str | Path | None) -> list[Path]:
    found = _folder(cache).glob(f"{manifest_hash}-*.json") if manifest_hash else ()
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def _folder(cache: str | Path | None) -> Path:
    return files.cache_dir(cache) / "audits"


def _path(manifest: Manifest, fingerprint: str, cache: str | Path | None) -> Path:
    return _folder(cache) / f"{manifest.hash}-{fingerprint}.json"


def _headline(path: Path) -> dict[str, Any] | None:
    try:
        headline = json.loads(path.read_text(encoding="utf-8")).get("headline")
    except (OSError, ValueError):
        return None
    return headline if isinstance(headline, dict) and headline.get("auc") is not None else None
