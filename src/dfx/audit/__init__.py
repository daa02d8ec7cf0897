"""Audit a corpus before training: is it complete, does it leak, can a detector win by shortcuts?

`audit.audit_corpus` runs the whole: `measure` the files, check `files_and_classes`, find `duplicates`, `leaks` and
`shortcuts`; `report` makes the document.
"""
