"""Augmentations, in training only: of the waveform (pure functions) and of the feature map (modules)."""

from dfx.augment.rawboost import RawBoost
from dfx.augment.spec_average import SpecAverage
