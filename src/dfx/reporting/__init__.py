"""Reports: documents, tables, figures, results of runs and sweeps."""
