"""The audit of a corpus before any training: is it whole, does it leak, could a detector win without listening?

`clip` and `measure` are the work of the worker processes, one pass over the files. `collect` puts it together, one row
a clip; `integrity`, `duplicates`, `leaks`, `shortcuts` and `models` look at it; `report`, `page` and `figures` say it.
"""
