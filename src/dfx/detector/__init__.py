"""Detectors: Lightning module, batches, checkpoints, scoring, and construction from a configuration."""
