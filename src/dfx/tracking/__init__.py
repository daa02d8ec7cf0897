"""Read and write runs and sweeps in MLflow."""

import logging
import os

# MLflow logs each migration, each new experiment and each monitor; users of dfx do not need that. MLflow sets the level
# of its own logger when it is imported, from this variable.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
logging.getLogger("alembic").setLevel(logging.WARNING)
