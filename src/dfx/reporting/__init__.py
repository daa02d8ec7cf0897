"""Reports: documents, tables, figures, and results of runs and sweeps."""
