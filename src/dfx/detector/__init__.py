"""The detector: Lightning module, data, checkpoints, and building all from a configuration."""
