"""Speech synthesis in NumPy and SciPy: formant synthesizer and vocoders, for demo corpus and vocoded twins.

Worker processes import it, so it must not import torch.
"""
