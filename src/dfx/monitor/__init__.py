"""Watch a detector at work: compare the answers in its log with a reference.

`periods` cuts the log, `samples` makes the reference and the measures, `watch` tests each period, `report` and
`figures` show what has drifted.
"""
