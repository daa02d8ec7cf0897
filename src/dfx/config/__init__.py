"""Configuration: its keys and types, the identity of a run, and corpora by name."""
