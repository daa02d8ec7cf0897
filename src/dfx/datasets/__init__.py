"""Corpora: each knows its layout, its protocol and its traps."""

from dfx.datasets.base import Dataset
from dfx.datasets.demo import Demo
from dfx.datasets.folder import Folder
from dfx.datasets.manifest_file import ManifestFile

__all__ = ["Dataset", "Demo", "Folder", "ManifestFile"]
