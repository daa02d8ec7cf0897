"""Runs and sweeps as MLflow keeps them."""
