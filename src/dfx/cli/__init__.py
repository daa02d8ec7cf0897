"""Command line of all commands: `--help`, error messages, sweeps."""
