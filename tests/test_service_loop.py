"""The loop of docs/service.md: train, register, detect with a log, drift, fine-tune, control test, alias, roll back."""

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

import dfx
from dfx import audio
from dfx.detect import __main__ as detect
from dfx.monitor import __main__ as monitor
from dfx.register import main as register
from dfx.tables.manifest import Manifest
from setups import train_run, type_command

RATE = 16000
LEARNS = ("model=mlp", "feature=lfcc", "optimizer.lr=1e-2", "data.batch_size=8", "patience=9")
DRIFT = 4  # exit status of the monitor


def tones(folder, first, count, hum=0.0):
    """Noise, with a tone of 3 kHz in the spoofs; `hum` of 400 Hz is what changes in service."""
    folder.mkdir(exist_ok=True)
    rows = []
    for number in range(first, first + count):
        generator, label = np.random.default_rng(number), number // 3 % 2
        time = np.arange(RATE) / RATE
        waveform = 0.05 * generator.standard_normal(RATE) + hum * np.sin(800 * np.pi * time)
        waveform += 0.0 if label else 0.05 * np.sin(6000 * np.pi * time)
        path = folder / f"{number}.wav"
        audio.write_audio(path, waveform.astype(np.float32), RATE)
        row = (
            str(number),
            str(path),
            label,
            "-" if label else "A",
            f"s{number % 12}",
            ("train", "dev", "eval")[number % 3],
        )
        rows.append(row)
    return Manifest(pd.DataFrame(rows, columns=["id", "path", "label", "attack", "speaker", "split"]), name=folder.name)


def version():
    return MlflowClient().get_model_version_by_alias("dfx", "champion").version


@pytest.mark.slow
def test_the_loop_of_a_detector_in_service(home, tmp_path, monkeypatch, undrawn_figures, capsys):
    monkeypatch.chdir(home)
    # Train, and name the champion.
    first = train_run("service", tones(tmp_path / "old", 0, 144), home, *LEARNS, "trainer.max_epochs=8")
    assert type_command(register, f"runs:/{first.info.run_id}", "alias=champion") == 0
    before = version()

    # In service with a log: nothing has changed, and then a hum comes in.
    def month(name, number, hum=0.0):
        tones(tmp_path / name, number, 60, hum)
        assert type_command(detect.main, str(tmp_path / name), f"log={tmp_path / 'log.db'}", "num_workers=0") == 0

    watch = (f"log={tmp_path / 'log.db'}", "period=60", f"out={tmp_path / 'watch'}", "false_alarm=0.01")
    month("quiet", 1000)
    assert type_command(monitor.main, *watch) == 0
    month("humming", 2000, hum=0.2)
    assert type_command(monitor.main, *watch) == DRIFT

    # Fine-tune on new clips, and let the control set decide.
    control = tmp_path / "control.csv"
    tones(tmp_path / "control", 3000, 72).write(control)
    poor = train_run("poor", tones(tmp_path / "old", 0, 144), home, *LEARNS, "optimizer.lr=1e-9", "seed=3")
    refused = type_command(register, f"runs:/{poor.info.run_id}", "alias=champion", f"control={control}")
    assert "not shown to be as good (EER " in refused
    assert version() == before
    new = (*LEARNS, "trainer.max_epochs=4", "init=models:/dfx@champion", "optimizer.lr=1e-3")
    tuned = train_run("tuned", tones(tmp_path / "new", 4000, 144, hum=0.2), home, *new)
    assert type_command(register, f"runs:/{tuned.info.run_id}", "alias=champion", f"control={control}") == 0
    assert f"is not worse than models:/dfx/{before}" in capsys.readouterr().err
    assert version() != before
    clip = tmp_path / "control" / "3000.wav"
    assert dfx.load("models:/dfx@champion").score(clip) == dfx.load(f"runs:/{tuned.info.run_id}").score(clip)

    # Roll back.
    assert type_command(register, f"models:/dfx/{before}", "alias=champion") == 0
    assert version() == before
