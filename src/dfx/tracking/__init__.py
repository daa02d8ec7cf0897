"""Read and write runs and sweeps in MLflow."""

import logging
import os

# MLflow logs each migration, each new experiment and each monitor; users of dfx do not need that. MLflow sets the level
# of its own logger when it is imported, from this variable.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
logging.getLogger("alembic").setLevel(logging.WARNING)
# The trace of an error that MLflow also raises, and that is one sentence (`place.tracking_error_sentence`).
logging.getLogger("mlflow.store.db.utils").addFilter(lambda record: not record.exc_info)
