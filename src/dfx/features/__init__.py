"""Features: modules that convert waveforms to feature maps, the input of models."""

from dfx.features.base import Feature, FeatureShape, FilterBankFeature
from dfx.features.cepstra import CepstralFeature
from dfx.features.chroma import Chroma
from dfx.features.chroma_cqt import ChromaCQT
from dfx.features.chunks import ChunkedFeature
from dfx.features.cqcc import CQCC
from dfx.features.cqt import CQT
from dfx.features.lfcc import LFCC
from dfx.features.logmel import LogMel
from dfx.features.logmel_image import LogMelImage
from dfx.features.mfcc import MFCC
from dfx.features.scattering import Scattering
from dfx.features.scattering1d import Scattering1D
from dfx.features.spectrogram import Spectrogram
from dfx.features.ssl import SSL
from dfx.features.table import Table
from dfx.features.wav2vec2 import Wav2Vec2
from dfx.features.waveform import Waveform
