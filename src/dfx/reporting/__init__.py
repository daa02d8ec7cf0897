"""Reports for people: documents, tables, figures, and what a run leaves."""
