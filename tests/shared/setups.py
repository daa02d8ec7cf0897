"""What tests of several folders use: configurations, commands, runs, tables and sound files."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from mlflow.tracking import MlflowClient

from dfx.config import overrides
from dfx.config.corpora import expand_corpora
from dfx.config.schema import CONF_DIR, register_schema
from dfx.datasets import Dataset
from dfx.tables.manifest import Manifest
from dfx.tables.score_table import ScoreTable

TINY_WAV2VEC2 = {  # arguments of torchaudio.models.wav2vec2_model
    "extractor_mode": "group_norm",
    "extractor_conv_layer_config": [[8, 10, 5], [8, 3, 2], [8, 2, 2]],
    "extractor_conv_bias": False,
    "encoder_embed_dim": 16,
    "encoder_projection_dropout": 0.1,
    "encoder_pos_conv_kernel": 8,
    "encoder_pos_conv_groups": 4,
    "encoder_num_layers": 3,
    "encoder_num_heads": 2,
    "encoder_attention_dropout": 0.1,
    "encoder_ff_interm_features": 24,
    "encoder_ff_interm_dropout": 0.1,
    "encoder_dropout": 0.1,
    "encoder_layer_norm_first": False,
    "encoder_layer_drop": 0.5,
    "aux_num_out": None,
}
TINY_SSL = {  # a configuration of transformers
    "model_type": "wav2vec2",
    "do_normalize": False,
    "hidden_size": 64,  # which nes2net can divide
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": [8, 8, 8],
    "conv_kernel": [10, 3, 2],
    "conv_stride": [5, 2, 2],
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
}


def composed(*arguments, command="train", **options):
    """The configuration of a command with these overrides, in which named corpora have their options."""
    register_schema()
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        given = overrides.wrap_group_values(arguments, command) if command else list(arguments)
        return expand_corpora(overrides.unwrap_group_values(compose(command, overrides=given, **options)))


def type_command(main, *arguments):
    """What a command that is typed in this process exits with: 0, a number or a sentence."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["dfx", *arguments])
        patched.setenv("HYDRA_FULL_ERROR", os.environ.get("HYDRA_FULL_ERROR", "0"))
        patched.setenv("COLUMNS", "200")
        try:
            main()
        except SystemExit as stop:
            return stop.code
    return 0


def train_run(name, manifest, folder, *overrides):
    """A finished run of one epoch on segments of half a second."""
    from dfx.train import train

    manifest.write(folder / f"{name}.csv")
    given = [
        f"dataset.path={folder / f'{name}.csv'}",
        f"experiment_name={name}",
        "dataset=manifest",
        "segment_seconds=0.5",
        "augment=none",
        "trainer.accelerator=cpu",
        "trainer.enable_progress_bar=false",
        "trainer.max_epochs=1",
    ]
    train(composed(*given, *overrides))
    (run,) = runs_of(name)
    return run


def start_dfx(folder, *arguments, output=subprocess.DEVNULL):
    """A command of dfx in a process of its own, which works in a folder of its own."""
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    environment |= {"DFX_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return subprocess.Popen(
        [sys.executable, "-m", "dfx", *arguments],
        cwd=folder,
        env=environment,
        stdout=output,
        stderr=output,
        text=True,
        start_new_session=True,
    )


def runs_in(folder):
    """Every run, the latest first, in the MLflow database of a folder."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    return client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])


def runs_of(experiment):
    """The runs of an experiment in this process' MLflow, the latest first."""
    client = MlflowClient()
    return client.search_runs([client.get_experiment_by_name(experiment).experiment_id])


def artifacts(run):
    """Folder of what a run has kept."""
    return Path(run.info.artifact_uri.removeprefix("file://"))


def score_table(bonafide, spoof, **columns):
    """A table of these scores, the bona fide first; further columns as they are given."""
    label = [1] * len(bonafide) + [0] * len(spoof)
    ids = [f"u{number}" for number in range(len(label))]
    table = {"id": ids, "attack": "-", "label": label, "score": np.concatenate([bonafide, spoof])}
    return ScoreTable(pd.DataFrame(table | columns))


def ratios(scale=1.0, num_bonafide=2000):
    """Log-likelihood ratios, calibrated at scale 1: for unit normals at +-1 the ratio of a value x is 2 x."""
    generator = np.random.default_rng(0)
    return scale * 2 * generator.normal(1, 1, num_bonafide), scale * 2 * generator.normal(-1, 1, 10_000)


class GivenDataset(Dataset):
    """A corpus that a test wrote down: a table, perhaps rows of ready features, a note, findings."""

    def __init__(self, table, name="given", ready=None, note="", findings=()):
        self.table, self.name, self.ready, self.note, self.given = table, name, ready, note, tuple(findings)

    def manifest(self):
        self.findings = self.given
        return Manifest(self.table, name=self.name)

    def vectors(self):
        return self.ready


def write_sound(path, samples, codec, rate, film=False):
    """A file that FFmpeg encodes: samples in [-1, 1] (None: no sound), with a black film if asked for."""
    with av.open(str(path), "w") as container:
        if film:
            video = container.add_stream("mpeg4", rate=5)
            video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        if samples is not None:
            track = container.add_stream(codec, rate=rate)
            track.codec_context.layout = "mono"
            if codec == "wmav2":
                track.codec_context.bit_rate = 32_000
        if film:
            picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux([packet for _ in range(3) for packet in video.encode(picture)])
            container.mux(video.encode(None))
        if samples is None:
            return
        frame = av.AudioFrame.from_ndarray((32767 * samples).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        resampler = av.AudioResampler(track.format.name, "mono", rate, track.codec_context.frame_size or 1024)
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(track.encode(piece))
