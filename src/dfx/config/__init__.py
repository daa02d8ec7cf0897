"""Configuration: its keys and types, the identity of a run, corpora by name."""
