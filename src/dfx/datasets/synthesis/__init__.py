"""Speech synthesis in NumPy and SciPy: a formant speaker and vocoders, for the demo corpus and for vocoded twins.

Worker processes import it, so it must not import torch.
"""
