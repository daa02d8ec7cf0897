"""Losses: the last layer of the detector, with the training loss and the score."""

from dfx.losses.am_softmax import AMSoftmax
from dfx.losses.base import CosineLoss, Loss, PosteriorLoss
from dfx.losses.bce import BCE
from dfx.losses.ce import CE
from dfx.losses.oc_softmax import OCSoftmax
from dfx.losses.p2sgrad import P2SGrad
