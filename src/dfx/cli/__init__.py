"""Command line of all commands: `--help`, error messages and sweeps."""
