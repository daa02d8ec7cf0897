"""Datasets: published corpora, your own recordings, the demo corpus, and vocoded twins."""

from dfx.datasets.add2022 import ADD2022
from dfx.datasets.asvspoof5 import ASVspoof5
from dfx.datasets.asvspoof2019 import ASVspoof2019
from dfx.datasets.asvspoof2021 import ASVspoof2021
from dfx.datasets.combined import Combined
from dfx.datasets.corpus import Dataset
from dfx.datasets.dacon_voice import DaconVoice
from dfx.datasets.deep_voice import DeepVoice
from dfx.datasets.deep_voice_table import DeepVoiceTable
from dfx.datasets.demo import Demo
from dfx.datasets.fakeavceleb import FakeAVCeleb
from dfx.datasets.folder import Folder
from dfx.datasets.for_ import FoR
from dfx.datasets.in_the_wild import InTheWild
from dfx.datasets.ljspeech import LJSpeech
from dfx.datasets.manifest_file import ManifestFile
from dfx.datasets.mlaad import MLAAD
from dfx.datasets.vocoded import Vocoded
from dfx.datasets.wavefake import WaveFake
