"""Detectors: Lightning module, data loading, checkpoints, scoring, and building from a configuration."""
