"""Location of MLflow's runs: convert URIs to paths, and set the default database."""

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote, urlparse

VARIABLE = "MLFLOW_TRACKING_URI"
SQLITE = "sqlite:///"
CHECKPOINT = "checkpoint/best.ckpt"  # in the artifacts of a run
DIGEST = "sha256."  # start of a tag of a run or model, followed by the name of a file
AUDIO = "audio"  # column of the input of a model that MLflow serves
BAD_ADDRESS = ("ArgumentError", "InvalidUrlException", "UnsupportedModelRegistryStoreURIException")
DRIVERS = {"psycopg", "psycopg2", "MySQLdb", "pymysql", "pyodbc"}  # packages of the databases that MLflow may use


def local_path(uri: str) -> Path | None:
    """Convert the URI of an artifact folder or SQLite database to a path; None if it is not local.

    Args:
        uri: a path, or `file:` or `sqlite:` and a percent-encoded path.
    """
    if uri.startswith(SQLITE):
        return Path(unquote(uri.removeprefix(SQLITE).partition("?")[0]))
    parts = urlparse(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(uri) if parts.scheme == "" or uri.startswith("/") else None


def hide_password(text: str, uri: str | None = None) -> str:
    """Replace the password of a URI by `***` in a text, which is the URI itself by default."""
    found = re.search(r"//[^/@:\s]*:(.*)@", text if uri is None else uri)  # a password may hold @ and /
    if not found or not found[1]:
        return text
    return text.replace(found[1], "***").replace(unquote(found[1]), "***")


def tracking_error_sentence(error: BaseException) -> str:
    """Describe an error of MLflow's database or server for the user; empty if it is another error."""
    import mlflow  # takes seconds, and is there already where this error comes from

    given = mlflow.get_tracking_uri()
    uri, text = hide_password(given), hide_password(str(error).strip(), given)
    if type(error).__name__ in BAD_ADDRESS or lacks_driver(error):
        return (
            f"MLflow cannot use {VARIABLE}={uri} ({(text.splitlines() or [''])[0]}). Use http://HOST:PORT, "
            f"{SQLITE}/WHOLE/PATH/mlflow.db, or a database whose driver is installed; unset, it is ./mlflow.db."
        )
    if "out-of-date database schema" in text:
        return (
            f"MLflow's database {local_path(given) or uri} was made by another version of MLflow. Copy it and run "
            f"`mlflow db upgrade {uri}`, or work in another folder."
        )
    found = re.search(r"\(sqlite3\.\w+\) ([^\n]*)", text)
    if found:
        database = local_path(given) or uri
        return (
            f"MLflow's database {database} cannot be read or written ({found.group(1)}). Look at the disk, the "
            "rights and the file (a full disk, a read-only folder, another program that holds it), and repeat the "
            "command: it continues."
        )
    if uri.startswith("http") and ("failed with exception" in text or "Max retries exceeded" in text):
        return (
            f"The tracking server {uri} does not answer ({text.splitlines()[0][-200:]}). Start it and repeat the "
            f"command, or set {VARIABLE} to another place; what is finished is kept."
        )
    return ""


def lacks_driver(error: BaseException) -> bool:
    """Whether an import failed because the database of MLFLOW_TRACKING_URI needs a package."""
    return isinstance(error, ModuleNotFoundError) and error.name in DRIVERS


def name_default_database() -> None:
    """Set MLflow's default database to `mlflow.db` in the working directory.

    Only where MLflow itself would misread the name of the directory.

    MLflow encodes the default URI (`my%20thesis`), and when it opens the database it also makes a folder of that name.
    """
    try:
        folder = str(Path.cwd())
    except FileNotFoundError as error:
        raise ValueError("The working folder was removed: change into another one, and repeat the command.") from error
    if VARIABLE not in os.environ and quote(folder) != folder:
        os.environ[VARIABLE] = default_database_uri()


def default_database_uri() -> str:
    """Return the URI of `mlflow.db` in the working directory."""
    return sqlite_uri(Path("mlflow.db"))


def sqlite_uri(path: Path) -> str:
    """Convert the path of a SQLite database to its URI, with an absolute path.

    Only characters with a meaning in SQLAlchemy are encoded.
    """
    return SQLITE + str(path.absolute()).replace("%", "%25").replace("?", "%3F")
