"""Models: networks that convert a feature map (batch, channels, bins, frames) to an embedding.

Its shape is (batch, embedding_dim). Every model takes `input_shape` (channels, bins and frames of the feature map),
raises an `IncompatiblePairError` for a map that it cannot use, and has `embedding_dim`. Once built it takes any number
of frames, unless its docstring says that it takes segments of one length only (`blocks.check_frames`).
"""

from dfx.models.aasist import AASIST
from dfx.models.aasist_ssl import AASISTSSL
from dfx.models.cnn import CNN
from dfx.models.ecapa import ECAPA
from dfx.models.lcnn import LCNN
from dfx.models.lcnn_light import LCNNLight
from dfx.models.lcnn_s1 import LCNNS1
from dfx.models.mhfa import MHFA
from dfx.models.mlp import MLP
from dfx.models.nes2net import Nes2Net
from dfx.models.rawnet2 import RawNet2
from dfx.models.res2net import Res2Net
from dfx.models.resnet import ResNet
from dfx.models.resnet2 import ResNet2
from dfx.models.resnet18_air import ResNet18AIR
from dfx.models.sls import SLS
from dfx.models.ssl_linear import SSLLinear
from dfx.models.tcm import TCM
from dfx.models.timm_backbone import TimmBackbone
from dfx.models.wav2vec2_head import Wav2Vec2Head
