"""The place of MLflow's runs: URIs as paths, and a URI of the default database that MLflow reads as its path."""

import os
from pathlib import Path
from urllib.parse import quote, unquote, urlparse

VARIABLE = "MLFLOW_TRACKING_URI"
SQLITE = "sqlite:///"


def local_path(uri: str) -> Path | None:
    """Path of a folder of artifacts or of an SQLite database; None if it is not on this machine.

    Args:
        uri: a path, or `file:` or `sqlite:` and a percent-encoded path.
    """
    if uri.startswith(SQLITE):
        return Path(unquote(uri.removeprefix(SQLITE)))
    parts = urlparse(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(uri) if parts.scheme == "" or uri.startswith("/") else None


def name_default_database() -> None:
    """Tell MLflow the database of this working directory, where MLflow itself would misread its name.

    MLflow encodes the default URI (`my%20thesis`), and when it opens the database it also makes a folder of that name.
    """
    folder = str(Path.cwd())
    if VARIABLE not in os.environ and quote(folder) != folder:
        os.environ[VARIABLE] = default_database_uri()


def default_database_uri() -> str:
    """URI of `mlflow.db` in the working directory; only what SQLAlchemy would read otherwise is encoded."""
    return SQLITE + str(Path("mlflow.db").absolute()).replace("%", "%25").replace("?", "%3F")
