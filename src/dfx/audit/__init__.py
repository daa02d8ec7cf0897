"""Audit of a corpus before training: bad files, leaks between splits, and shortcuts.

`corpus_audit` runs the whole: `corpus_measures` of all files, then the checks `files_and_classes`, `duplicates`,
`leaks` and `shortcuts`; `report` makes the document.
"""
