"""Speech made by a program: a source-filter speaker, vocoders that copy it, rooms to record both in.

It needs numpy and scipy only, because worker processes import it. `dfx.datasets.Demo` makes a corpus of it.
"""
