"""Conditioning: clips brought to one bandwidth, freed of silent ends, set to one level; the same for both classes.

The steps come in this order, each on what the one before left. `condition` takes a whole waveform; `conditioned` makes
a waveform store give the same samples slice by slice.
"""

from dfx.conditioning.chain import Chain, Conditions, condition
from dfx.conditioning.conditioned_store import ConditionedStore, Waveforms, conditioned
from dfx.conditioning.low_pass import LowPass

__all__ = ["Chain", "ConditionedStore", "Conditions", "LowPass", "Waveforms", "condition", "conditioned"]
