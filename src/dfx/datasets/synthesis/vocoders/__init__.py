"""Vocoders for copy-synthesis: they analyse a waveform and synthesize it again.

Each is a function (waveform (samples,), generator) -> (samples,) at 16 kHz that keeps the length and the words and
leaves its typical traces: estimated phases, a smoothed envelope, a buzz, quantised bands, joins.
"""

from dfx.datasets.synthesis.vocoders.codecs import mu_law, transform_codec
from dfx.datasets.synthesis.vocoders.parametric import lpc, parametric_world
from dfx.datasets.synthesis.vocoders.spectral import griffin_lim, sinusoidal
from dfx.datasets.synthesis.vocoders.splice import splice
