"""Keep a run going while its tracking server is out of reach."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
from mlflow.exceptions import MlflowException

from dfx.console import say
from dfx.tracking.place import hide_password

PAUSE_SECONDS = 60.0  # between two attempts while the server is out of reach; or ten times as long as one takes
REFUSED = (400, 404)  # status of a request that the server answers: it would refuse it again


def is_out_of_reach(error: Exception) -> bool:
    """Whether an error of MLflow means that a remote server did not answer; a refusal is an answer."""
    if not mlflow.get_tracking_uri().startswith("http"):
        return False
    return not isinstance(error, MlflowException) or error.get_http_status_code() not in REFUSED


class ServerWatch:
    """Record of a tracking server that is out of reach: the run goes on, and tries again later.

    Attributes:
        reason: the first error, if the server lacks something since then; else empty.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._try_again = 0.0

    def is_due(self) -> bool:
        """Whether it is time for another attempt."""
        return time.monotonic() >= self._try_again

    def is_back(self) -> None:
        """Record that the server has everything again."""
        if self.reason:
            say(f"The tracking server {hide_password(mlflow.get_tracking_uri())} is back, and has all epochs.")
        self.reason, self._try_again = "", 0.0

    @contextmanager
    def tolerate(self) -> Iterator[None]:
        """Record an error of a server that is out of reach; raise any other error."""
        began = time.monotonic()
        try:
            yield
        except Exception as error:
            if not is_out_of_reach(error):
                raise
            now = time.monotonic()
            self._try_again = now + max(PAUSE_SECONDS, 10 * (now - began))
            if not self.reason:
                self.reason = (str(error).splitlines() or [type(error).__name__])[0]
                uri = mlflow.get_tracking_uri()
                say(
                    f"Warning: the tracking server {hide_password(uri)} is out of reach "
                    f"({hide_password(self.reason[:200], uri)}). "
                    "The run goes on, and keeps everything here until the server is back."
                )
