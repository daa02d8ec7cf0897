"""Augmentation of training examples: masks of feature maps."""

from dfx.augment.spec_average import SpecAverage

__all__ = ["SpecAverage"]
