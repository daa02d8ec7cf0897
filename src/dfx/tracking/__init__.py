"""Runs and sweeps as MLflow keeps them."""

import logging

# MLflow logs each migration, each new experiment and each monitor; users of dfx do not need that.
for _name in ("mlflow", "alembic"):
    logging.getLogger(_name).setLevel(logging.WARNING)
