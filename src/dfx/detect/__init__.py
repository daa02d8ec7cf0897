"""Detection of fakes in files, folders and streams.

`inputs` finds the files, `run` opens the detectors and scores, `records` writes JSON and CSV, `figures` draws a clip,
`document` makes the page, and `cluster` spreads files over Ray.
"""
