"""Augmentations for training: functions that change waveforms, modules that change feature maps."""

from dfx.augment.rawboost import RawBoost
from dfx.augment.spec_average import SpecAverage
