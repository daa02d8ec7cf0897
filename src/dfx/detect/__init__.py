"""Detection of fakes in files, folders and streams.

`inputs` finds the files, `run` scores and shows the answers, `records` writes JSON and CSV, `document` makes the page,
and `cluster` spreads files over Ray.
"""
