"""Audit of a corpus before training: bad files, leaks between splits, and shortcuts.

`audit.audit_corpus` runs the whole: `measure` the files, check `files_and_classes`, find `duplicates`, `leaks` and
`shortcuts`; `report` makes the document.
"""
