"""Features: modules that convert waveforms to feature maps, the input of models."""

from dfx.features.base import Feature, FeatureShape, FilterBankFeature
from dfx.features.lfcc import LFCC
from dfx.features.logmel import LogMel
from dfx.features.mfcc import MFCC
from dfx.features.table import Table
from dfx.features.wav2vec2 import Wav2Vec2
from dfx.features.waveform import Waveform
