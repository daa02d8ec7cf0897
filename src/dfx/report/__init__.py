"""What runs say together: the feature × model table over seeds, and what may be concluded from it.

`collect` sorts runs into cells, `measure` reads their score files and tests one against another, `gaps` lists what is
missing, `tables` puts it into words, `figures` draws it, `page` and `publish` hand it out.
"""
