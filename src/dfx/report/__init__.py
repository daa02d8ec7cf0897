"""Report on the runs of a sweep: results over seeds with intervals, significance tests and figures.

`sweep_report` collects the runs and their notes, `measured_grid` reads their score files and compares the cells,
`tables`, `figures` and `exports` show them, and `document` puts the page together.
"""
