"""Checkpoints and runs on corpora: the scores are those of the detector, computed once."""

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.tracking import MlflowClient

from dfx import audio
from dfx.audio import segments
from dfx.detector import corpus_scoring, loading
from dfx.tables.manifest_reading import read_manifest
from dfx.tables.score_table import ScoreTable
from dfx.tracking import runs


def of(corpus_file):
    return ["dataset=manifest", f"dataset.path={corpus_file}"]


def by_hand(checkpoint, corpus_file, split="eval", policy="first"):
    """Score of each utterance, one at a time and without any part of the evaluation."""
    detector = loading.load_network(checkpoint)
    found = {}
    with torch.inference_mode():
        for row in read_manifest(corpus_file).split(split).table.itertuples():
            waveform = audio.read_audio(str(row.path), 16000)
            last = max(len(waveform) - 8000, 0)
            starts = sorted({*range(0, last, 4000), last}) if policy == "sliding" else [0]
            cuts = np.stack([segments.fit_segment(waveform[start : start + 8000], 8000) for start in starts])
            found[str(row.id)] = float(detector(torch.from_numpy(cuts).float()).double().mean())
    return found


def written(found, number=0):
    result = found["results"][number]
    system, corpus = (result[name].replace(":", "_") for name in ("system", "corpus"))
    table = ScoreTable.read(found["folder"] / f"{system}--{corpus}.csv").table
    return dict(zip(table["id"], table["score"], strict=True))


@pytest.mark.parametrize("policy", ["first", "sliding"])
def test_scores_of_a_checkpoint_are_those_of_its_detector(evaluate, checkpoint, corpus_file, policy):
    found = evaluate(f"model={checkpoint}", *of(corpus_file), f"eval_crop={policy}")
    assert written(found) == pytest.approx(by_hand(checkpoint, corpus_file, policy=policy), abs=1e-4)
    assert found["results"][0]["crop"].startswith(f"{policy} 0.5 s, repeat")
    assert found["results"][0]["threshold_from"] == "tones:dev"
    assert {"speaker", "attack"} <= set(pd.read_csv(found["folder"] / "lfcc-mlp-s0--tones.csv"))


def test_what_was_scored_is_not_scored_again(evaluate, checkpoint, corpus_file, monkeypatch):
    first = evaluate(f"model={checkpoint}", *of(corpus_file))
    monkeypatch.setattr(loading, "load_network", None)
    assert written(evaluate(f"model={checkpoint}", *of(corpus_file))) == written(first)
    with pytest.raises(TypeError):  # another crop has to be scored
        evaluate(f"model={checkpoint}", *of(corpus_file), "eval_crop=centre")
    for version in ("VERSION", "STORE_VERSION", "CONDITIONING_VERSION", "MAPS_VERSION"):
        with monkeypatch.context() as patched:
            patched.setattr(corpus_scoring, version, 99)
            with pytest.raises(TypeError):
                evaluate(f"model={checkpoint}", *of(corpus_file))


def test_systems_by_corpora_make_a_matrix(evaluate, checkpoint, other_checkpoint, corpus_file):
    found = evaluate(
        f"model={{one: {checkpoint}, two: {other_checkpoint}}}",
        *of(corpus_file),
        "others=[copy:all,copy:dev]",
        f"+corpora.copy={{dataset: manifest, path: {corpus_file}}}",
        whole=True,
    )
    pairs = [(result["system"], result["corpus"]) for result in found["results"]]
    assert pairs == [(s, c) for s in ("one", "two") for c in ("tones", "copy:all", "copy:dev")]
    assert written(found, 2) == pytest.approx(by_hand(checkpoint, corpus_file, "dev"), abs=1e-4)
    assert (found["folder"] / "corpora.png").exists()
    assert len(found["comparisons"]) == 3  # one on each set of trials
    assert "## Corpus by corpus" in (found["folder"] / "report.md").read_text(encoding="utf-8")


def test_a_score_file_of_a_split_takes_its_labels_from_the_corpus(evaluate, corpus_file, tmp_path):
    rows = read_manifest(corpus_file).split("dev").table
    rows[["id"]].assign(score=rows["label"] - 0.5).to_csv(tmp_path / "mine.csv", index=False)
    (result,) = evaluate(f"scores={tmp_path / 'mine.csv'}", *of(corpus_file), "split=dev")["results"]
    assert result["corpus"] == "tones:dev"
    assert (result["bonafide"], result["spoof"]) == (rows["label"].sum(), (1 - rows["label"]).sum())
    assert result["metrics"]["eer"]["value"] == 0


def test_what_mlflow_sends_is_kept_in_the_cache_of_the_command(evaluate, tmp_path, monkeypatch):
    given = []

    def model(place, cache):
        given.append(cache)
        return runs.ModelRecord(tmp_path, (), None, {}, "")

    monkeypatch.setattr(runs, "get_model", model)
    with pytest.raises(ValueError, match="holds no checkpoint"):
        evaluate("model=models:/tones/1", f"cache={tmp_path}")
    assert given == [str(tmp_path)]


def test_a_run_without_a_corpus_is_measured_by_its_stored_scores(evaluate, checkpoint, corpus_file, tmp_path):
    run_id, tables = log_run(checkpoint, corpus_file, tmp_path)
    found = evaluate(f"model=runs:/{run_id}")
    assert written(found) == dict(zip(tables["eval"].table["id"], tables["eval"].table["score"], strict=True))
    result = found["results"][0]
    assert (result["system"], result["corpus"], result["trained_on"]) == ("lfcc-mlp-tones-s0", "tones", "tones")
    assert result["threshold_from"] == "dev split of its training"
    on_corpus = evaluate(f"model=runs:/{run_id}/checkpoint/best.ckpt", *of(corpus_file))
    assert written(on_corpus) == pytest.approx(by_hand(checkpoint, corpus_file), abs=1e-4)
    assert on_corpus["results"][0]["threshold_from"] == "dev split of its training"
    with pytest.raises(ValueError, match="another crop needs other scores"):
        evaluate(f"model=runs:/{run_id}", "eval_crop=sliding")
    with pytest.raises(ValueError, match="has no stored scores: name a corpus"):
        evaluate(f"model={checkpoint}")
    with pytest.raises(ValueError, match="has no artifact nothing"):
        evaluate(f"model=runs:/{run_id}/nothing.ckpt")


def log_run(checkpoint, corpus_file, folder):
    """A run as dfx.train leaves it."""
    client = MlflowClient()
    known = client.get_experiment_by_name("trained")
    experiment = known.experiment_id if known else client.create_experiment("trained")
    tags = {"feature": "lfcc", "model": "mlp", "seed": "0", "dataset": "manifest"}
    run = client.create_run(experiment, run_name="lfcc-mlp-tones-s0", tags=tags)
    client.log_artifact(run.info.run_id, str(checkpoint), "checkpoint")
    tables = {}
    for split in ("dev", "eval"):
        rows = read_manifest(corpus_file).split(split).table.drop(columns=["path", "split"])
        generator = np.random.default_rng(0)
        tables[split] = ScoreTable(rows.assign(score=rows["label"] + generator.standard_normal(len(rows))))
        tables[split].write(folder / f"{split}.csv")
        client.log_artifact(run.info.run_id, str(folder / f"{split}.csv"), "scores")
    client.set_terminated(run.info.run_id)
    return run.info.run_id, tables


def test_bad_files_are_counted_and_listed(evaluate, checkpoint, corpus_file, tmp_path, monkeypatch):
    table = pd.read_csv(corpus_file)
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    spoof_eval = table[(table.split == "eval") & (table.label == "spoof")].index
    table["path"] = [str((corpus_file.parent / path).resolve()) for path in table.path]
    table.loc[spoof_eval[0], "path"] = str(broken)
    table.to_csv(tmp_path / "damaged.csv", index=False)
    given = [f"model={checkpoint}", *of(tmp_path / "damaged.csv")]
    with pytest.raises(ValueError, match="are bad, more than"):
        evaluate(*given)
    found = evaluate(*given, "max_bad_fraction=0.1")
    (left_out,) = found["results"][0]["left_out"]
    assert left_out["id"] == table.id[spoof_eval[0]]
    assert left_out["reason"]
    assert any("1 of 16 trials has no score" in note for note in found["notes"])
    assert list(pd.read_csv(found["folder"] / "bad_files.csv").id) == [left_out["id"]]
    assert found["results"][0]["spoof"] == len(spoof_eval) - 1
    monkeypatch.setattr(loading, "load_network", None)  # which would be needed to score anything again
    assert evaluate(*given, "max_bad_fraction=0.1")["results"][0]["left_out"] == [left_out]


def test_a_corpus_is_the_key_of_score_files(evaluate, checkpoint, corpus_file, tmp_path):
    rows = read_manifest(corpus_file).split("eval").table
    lines = [f"{row.id} {row.label + 0.01 * number}" for number, row in enumerate(rows.itertuples())]
    (tmp_path / "theirs.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = evaluate(f"scores={tmp_path / 'theirs.txt'}", f"model={checkpoint}", *of(corpus_file))
    theirs = next(result for result in found["results"] if result["system"] == "theirs")
    assert theirs["corpus"] == "tones"
    assert theirs["metrics"]["eer"]["value"] == 0
    assert len(found["comparisons"]) == 1


def test_a_system_is_named_once_and_its_split_exists(evaluate, checkpoint, corpus_file):
    with pytest.raises(ValueError, match="are the same file"):
        evaluate(f"model=[{checkpoint},{checkpoint}]", *of(corpus_file))
    with pytest.raises(ValueError, match="there is no split 'test'"):
        evaluate(f"model={checkpoint}", *of(corpus_file), "split=test")
