"""ADD 2022, track 1: corpus of Mandarin speech with low-quality fakes."""

from __future__ import annotations

import pandas as pd

from dfx.audio.audio_files import audio_file_stems
from dfx.datasets.corpus import Corpus
from dfx.tables import protocols

SPLITS = {"T": "train", "D": "dev", "E1": "eval"}  # the part of a name between ADD_ and the number
LAYOUTS = {2: ("id", "label"), 3: ("id", "label", "")}  # label files of track 3 have a third column
LABEL_FILES = ("*label*.txt", "*/*label*.txt", "*/*/*label*.txt", "*/*/*/*label*.txt")
FOLDERS = ("ADD*", "add*", "train*", "dev*", "track1*", "eval*")


class ADD2022(Corpus):
    """Corpus ADD 2022, track 1; the name of a recording gives its split.

    Names begin with ADD_T_ in train, ADD_D_ in dev and ADD_E1_ in the test set of track 1, which is eval. Label files
    hold `ADD_T_00000000.wav genuine`. They are searched everywhere, since copies differ: train/label.txt,
    label/train_label.txt, track1_label.txt. Rows of other tracks and of the adaptation set are left out.
    """

    name = "add2022"
    tree = """\
  DIR/ADD_train_dev/train/ADD_T_*.wav, DIR/ADD_train_dev/dev/ADD_D_*.wav
  DIR/ADD_train_dev/label/train_label.txt, dev_label.txt     (or train/label.txt, dev/label.txt)
  DIR/track1test/ADD_E1_*.wav, DIR/track1_label.txt          (or track1test/label.txt)"""
    marks = ("ADD_train_dev", "train/ADD_T_*", "dev/ADD_D_*", "track1test", "label/train_label.txt")

    def table(self) -> pd.DataFrame:
        """Read the rows of all label files, without duplicates."""
        root = self.folder()
        self.require(*LABEL_FILES)
        files = sorted({file for pattern in LABEL_FILES for file in root.glob(pattern)})
        rows = [protocols.read_protocol(file, LAYOUTS) for file in files if not file.name.startswith(".")]
        table = pd.concat(rows, ignore_index=True)
        table["id"] = audio_file_stems(table["id"])  # some copies name the files
        table = table.drop_duplicates(ignore_index=True)  # train/label.txt beside label/train_label.txt
        split = table["id"].str.extract(r"^ADD_([A-Z]\d?)_")[0].map(SPLITS)
        left = table["id"][split.isna()].tolist()
        if len(left) == len(table):
            raise self.not_found(root, "; no row of a label file is called ADD_T_, ADD_D_ or ADD_E1_")
        if left:
            text = f"{len(left)} rows of {self.name} belong to another track and are left out."
            self.add_finding("other-track", "note", text, left)
        chosen = table.assign(split=split)[split.notna()].reset_index(drop=True)
        return self.paths_by_id(chosen, self.subfolders(*FOLDERS) or [root], others=left)
