"""Small copies of the folders in which published corpora come, audio included, with their usual traps.

Each function of `REPLICAS` writes one below a folder and returns what to give as `dataset.root`.
"""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from hydra.utils import instantiate
from omegaconf import OmegaConf

from dfx.config.schema import CONF_DIR
from setups import write_sound

LETTERS = {"train": "T", "dev": "D", "eval": "E"}
NUM_SPEAKERS = 9  # so that a division by speaker leaves both classes in every split
FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}
VOICES = ("biden", "linus", "margot", "musk", "obama", "ryan", "taylor", "trump")


def corpus(name, root, **options):
    """The dataset of an option, with these of its keys."""
    node = OmegaConf.load(CONF_DIR / "dataset" / f"{name}.yaml")
    node = node.get("dataset", node)
    return instantiate(node, root=str(root) if root else None, _convert_="all", **options)


def found(dataset):
    """The findings of a dataset by kind."""
    return {finding.kind: finding for finding in dataset.findings}


def waveform(name, fake, seconds, rate, channels=1):
    """Noise, and in fakes a tone in it, (samples, channels); the same for the same name."""
    generator = np.random.default_rng(list(name.encode()))
    time = np.arange(round(seconds * rate)) / rate
    samples = 0.1 * generator.standard_normal((len(time), channels))
    return samples + (0.1 * np.sin(2 * np.pi * 1000 * time)[:, None] if fake else 0.0)


def clip(path, fake=False, seconds=0.4, rate=16000, channels=1):
    """An audio file in the format of its suffix, in any case; .mp4 is a video with a sound track."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = waveform("/".join(path.parts[-3:]), fake, seconds, rate, channels)
    if path.suffix.lower() == ".mp4":
        write_sound(path, samples[:, 0], "aac", rate, film=True)
    else:
        soundfile.write(path, samples, rate, format=FORMATS[path.suffix.lower()])
    return path


def trap(folder, name="x.wav"):
    """Files that are no part of a corpus: AppleDouble, .DS_Store, a text."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"._{name}").write_bytes(b"\x00\x05\x16\x07")
    (folder / ".DS_Store").write_bytes(b"\x00")
    (folder / "readme.txt").write_text("read me")


def lines(path, *rows, newline="\n", mark=False):
    """A text file; `mark` puts a byte-order mark before it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(("\ufeff" * mark + newline.join(rows) + newline).encode())


def ljspeech(root):
    """LJSpeech-1.1 with transcripts full of quotation marks."""
    folder = root / "LJSpeech-1.1"
    ids = [f"LJ{1 + number // 10:03d}-{number % 10 + 1:04d}" for number in range(30)]
    for name in ids:
        clip(folder / "wavs" / f"{name}.wav", rate=22050)
    trap(folder / "wavs", "LJ001-0001.wav")
    said = 'He said "no", and left|He said "no", and left'
    lines(folder / "metadata.csv", *[f"{name}|{said}" for name in ids[1:]], f'{ids[0]}|"Only one|"Only one')
    return root


def wavefake(root):
    """Four vocoders, text-to-speech with the copy of itself, and the two genuine sets beside."""
    folder = root / "generated_audio"
    english = [f"LJ001-{number:04d}" for number in range(1, 21)]
    japanese = [f"BASIC5000_{number:04d}" for number in range(1, 16)]
    for name in english:
        clip(root / "LJSpeech-1.1" / "wavs" / f"{name}.wav", rate=22050)
        clip(folder / "ljspeech_melgan" / f"{name}_gen.WAV", True, rate=22050)
        clip(folder / "ljspeech_hifiGAN" / f"{name}_generated.wav", True, rate=22050)
        clip(folder / "ljspeech_waveglow" / f"{name}.wav", True, rate=22050)
    for name in japanese:
        clip(root / "jsut_ver1.1" / "basic5000" / "wav" / f"{name}.wav", rate=24000)
        clip(folder / "jsut_multi_band_melgan" / f"{name}_gen.wav", True, rate=24000)
    speech = folder / "common_voices_prompts_from_conformer_fastspeech2_pwg_ljspeech"
    for number in range(10):
        clip(speech / f"gen_{number}.wav", True, rate=22050)
        clip(speech / "generated" / f"gen_{number}.wav", True, rate=22050)
    trap(folder / "ljspeech_melgan", "LJ001-0001_gen.wav")
    trap(root / "LJSpeech-1.1" / "wavs", "LJ001-0001.wav")
    return root


def in_the_wild(root):
    """Twelve speakers of both classes; names with commas, a byte-order mark, Windows line ends."""
    folder = root / "release_in_the_wild"
    rows = []
    for number in range(96):
        fake = number // 12 % 2 == 1
        clip(folder / f"{number}.wav", fake)
        speaker = f'"King, Jr. {number % 12}"' if number % 12 == 3 else f"Alec Guinness {number % 12}"
        rows.append(f"{number}.wav,{speaker},{'spoof' if fake else 'bona-fide'}")
    trap(folder, "0.wav")
    lines(folder / "meta.csv", "file,speaker,label", *rows, newline="\r\n", mark=True)
    return root


def fake_or_real(root):
    """Three of the versions: norm with fakes that were MP3, 2sec in its inner folder, original in two formats."""
    steps = ".wav_16k.wav_norm.wav_mono.wav_silence.wav"
    for split in ("training", "validation", "testing"):
        for number in range(8):
            for version, ending in (("for-norm/for-norm", steps), ("for-2sec/for-2seconds", f"{steps}_2sec.wav")):
                former = ".mp3" if split != "testing" else ""
                clip(root / version / split / "real" / f"file{number}{ending}")
                clip(root / version / split / "fake" / f"file{number}{former}{ending}", True)
            clip(root / "for-original" / "for-original" / split / "real" / f"file{number}.wav")
            clip(root / "for-original" / "for-original" / split / "fake" / f"file{number}.mp3", True, rate=44100)
    clip(root / "for-original" / "for-original" / "training" / "fake" / "file0.WAV", True)
    trap(root / "for-norm" / "for-norm" / "training" / "fake", "file0.wav")
    return root


def fakeavceleb(root):
    """Fifteen people in four combinations of sound and picture; the last column has no name."""
    folder = root / "FakeAVCeleb_v1.2"
    rows = []
    for number in range(15):
        person = f"id{number:05d}"
        race, gender = ("African", "men") if number % 2 else ("Asian (East)", "women")
        for kind, method, name in (
            ("RealVideo-RealAudio", "real", "00109.mp4"),
            ("FakeVideo-RealAudio", "fsgan", "00109_id00476_fsgan.mp4"),
            ("RealVideo-FakeAudio", "rtvc", "00109_fake.mp4"),
            ("FakeVideo-FakeAudio", "faceswap-wav2lip", "00109_10_id00476_wavtolip.mp4"),
        ):
            inside = f"{kind}/{race}/{gender}/{person}"
            clip(folder / inside / name, "FakeAudio" in kind, rate=16000)
            target = "-" if method == "real" else "id00476"
            rows.append(f"{person},{target},-,{method},A,{kind},{race},{gender},{name},FakeAVCeleb/{inside}")
    trap(folder / "RealVideo-RealAudio", "00109.mp4")
    lines(folder / "meta_data.csv", "source,target1,target2,method,category,type,race,gender,path,", *rows)
    return root


def deep_voice(root):
    """8 stereo recordings and their 56 conversions, names in mixed case, and the demonstrations."""
    folder = root / "KAGGLE" / "AUDIO"
    for number, source in enumerate(VOICES):
        rate = (40000, 44100, 48000)[number % 3]
        clip(folder / "REAL" / f"{source}-original.wav", False, 1.0, rate, channels=2)
        for target in VOICES:
            if target != source:
                name = f"{source.title()}-to-{target.title()}" if number % 2 else f"{source}-to-{target}"
                clip(folder / "FAKE" / f"{name}.wav", True, 1.0, rate, channels=2)
    trap(folder / "REAL", "biden-original.wav")
    clip(root / "DEMONSTRATION" / "DEMONSTRATION" / "linus-original-DEMO.mp3", rate=44100)
    return root


def deep_voice_table(root):
    """600 windows of each class, features of very different size."""
    names = ["chroma_stft", "rms", "spectral_centroid", "spectral_bandwidth", "rolloff", "zero_crossing_rate"]
    names += [f"mfcc{number}" for number in range(1, 21)]
    generator = np.random.default_rng(0)
    scale = np.array([0.1, 0.01, 1000, 1000, 2000, 0.02, *[20.0] * 20])
    parts = []
    for label, shift in (("FAKE", 0.7), ("REAL", -0.7)):
        values = scale * (generator.standard_normal((600, 26)) + shift)
        parts.append(pd.DataFrame(values, columns=names).assign(LABEL=label))
    (root / "KAGGLE").mkdir(parents=True, exist_ok=True)
    pd.concat(parts).to_csv(root / "KAGGLE" / "DATASET-balanced.csv", index=False, quoting=csv.QUOTE_MINIMAL)
    return root


def mlaad(root):
    """Two languages, three systems, one with a space in its name; M-AILABS beside it with AppleDouble files."""
    recordings = []
    for number in range(40):
        book = "mix/don_quijote" if number % 4 == 0 else f"female/mary_ann_{number % 3}/northandsouth"
        recordings.append(f"en_US/by_book/{book}/wavs/northandsouth_{number:02d}_f000001.wav")
        clip(root / "M-AILABS" / recordings[-1])
        trap((root / "M-AILABS" / recordings[-1]).parent, f"northandsouth_{number:02d}_f000001.wav")
    head = "path|original_file|language|is_original_language|duration|training_data|model_name|architecture|transcript"
    for language, system, model in (
        ("en", "tts_models_en_ljspeech_vits", "tts_models/en/ljspeech/vits"),
        ("en", "Cartesia.ai (Sonic-3)", "Cartesia.ai (Sonic-3)"),
        ("ja", "kokoro", "hexgrad/Kokoro-82M"),
    ):
        folder, rows = root / "MLAAD" / "fake" / language / system, []
        for number in range(0, 40, 2):
            name = Path(recordings[number]).name
            clip(folder / name, True, rate=24000)
            said = '"An opening quote without an end' if number % 3 == 0 else "「はい」 \u2028 yes"
            own = str(language == "en")
            rows.append(
                f"./fake/{language}/{system}/{name}|{recordings[number]}|{language}|{own}|0.4|LJSpeech|{model}|VITS|{said}"
            )
        lines(folder / "meta.csv", head, *rows)
        trap(folder, name)
    return root


def dacon_voice(root):
    """60 labelled clips, five of the test, three without labels."""
    folder = root / "open"
    rows = []
    for number in range(60):
        fake = number % 2 == 1
        clip(folder / "train" / f"RUNQ{number:04d}.ogg", fake, rate=32000)
        rows.append(f"RUNQ{number:04d},./train/RUNQ{number:04d}.ogg,{'fake' if fake else 'real'}")
    for number in range(5):
        clip(folder / "test" / f"TEST_{number:05d}.ogg", rate=32000)
    for number in range(3):
        clip(folder / "unlabeled_data" / f"ABCD{number:04d}.ogg", rate=32000)
    trap(folder / "train", "RUNQ0000.ogg")
    lines(folder / "train.csv", "id,path,label", *rows)
    lines(folder / "test.csv", "id,path", *[f"TEST_{n:05d},./test/TEST_{n:05d}.ogg" for n in range(5)])
    return root


def trials(prefix, num=4 * NUM_SPEAKERS, first=1000001):
    """Number, name, whether it is a spoof, and speaker (of the corpus's form) of each trial; half are spoofs."""
    for number in range(num):
        yield number, f"{prefix}{first + number}", number % 2 == 1, f"{number // 4 % NUM_SPEAKERS:04d}"


def asvspoof2019_la(root):
    """LA.zip of ASVspoof 2019, unpacked; recordings that enrol speakers lie among the trials."""
    return _asvspoof2019(root, "LA", lambda number: "-", lambda number: f"A{1 + number % 6:02d}")


def asvspoof2019_pa(root):
    """PA.zip of ASVspoof 2019, unpacked: the third column names the room."""
    letters = "abc"
    rooms = [f"{s}{r}{d}" for s in letters for r in letters for d in letters]
    attacks = [f"{d}{q}" for d in "ABC" for q in "ABC"]
    return _asvspoof2019(root, "PA", lambda number: rooms[number % 27], lambda number: attacks[number % 9])


def _asvspoof2019(root, access, environment, attack):
    base = root / access
    for split, letter in LETTERS.items():
        flac = base / f"ASVspoof2019_{access}_{split}" / "flac"
        rows = []
        for number, name, spoof, speaker in trials(f"{access}_{letter}_", 12):
            kind = attack(number // 2) if spoof else "-"
            label = "spoof" if spoof else "bonafide"
            rows.append(f"{access}_{speaker} {name} {environment(number)} {kind} {label}")
            clip(flac / f"{name}.flac", spoof)
        ending = "trn" if split == "train" else "trl"
        protocol = f"ASVspoof2019.{access}.cm.{split}.{ending}.txt"
        lines(base / f"ASVspoof2019_{access}_cm_protocols" / protocol, *rows)
        trap(base / f"ASVspoof2019_{access}_cm_protocols", protocol)
        trap(flac, f"{access}_{letter}_1000001.flac")
        if split != "train":
            clip(flac / f"{access}_{letter}_A000001.flac")
            enrolment = f"ASVspoof2019.{access}.asv.{split}.female.trn.txt"
            lines(base / f"ASVspoof2019_{access}_asv_protocols" / enrolment, f"{access}_0000 {access}_{letter}_A000001")
    lines(base / f"README.{access}.txt", "ASVspoof 2019")
    return root


def asvspoof2021_la(root):
    """Audio and full keys of ASVspoof 2021 LA, unpacked side by side."""
    codecs = ("none", "alaw", "pstn", "g722", "ulaw", "gsm", "opus")
    rows = []
    for number, name, spoof, speaker, subset in _trials2021("LA_E_"):
        trim = "only_speech" if subset == "hidden" else "notrim"
        attack, label = (f"A{7 + number % 13:02d}", "spoof") if spoof else ("bonafide", "bonafide")
        rows.append(f"LA_{speaker} {name} {codecs[number % 7]} loc_tx {attack} {label} {trim} {subset}")
        clip(root / "ASVspoof2021_LA_eval" / "flac" / f"{name}.flac", spoof)
    lines(root / "keys" / "LA" / "CM" / "trial_metadata.txt", *rows)
    lines(
        root / "keys" / "LA" / "ASV" / "trial_metadata.txt",
        "LA_0007-alaw-ita_tx LA_E_5013670-alaw-ita_tx alaw ita_tx bonafide nontarget notrim eval",
    )
    lines(root / "ASVspoof2021_LA_eval" / "ASVspoof2021.LA.cm.eval.trl.txt", "LA_E_1000001")
    return root


def asvspoof2021_df(root):
    """ASVspoof 2021 DF as its four archives unpack, with the full key of 13 columns in the folder of its archive."""
    rows = []
    for number, name, spoof, speaker, subset in _trials2021("DF_E_", 2000001):
        codec = ("nocodec", "low_mp3", "high_m4a", "oggm4a")[number % 4]
        if not spoof:
            what, tail = "asvspoof bonafide bonafide", "bonafide - - - -"
        elif number % 4 == 1:
            what, tail = "asvspoof A14 spoof", "traditional_vocoder - - - -"
        else:
            what, tail = "vcc2020 Task1-team20 spoof", "neural_vocoder_nonautoregressive Task1 team20 FF E"
        rows.append(f"TEF{speaker} {name} {codec} {what} notrim {subset} {tail}")
        part = root / f"ASVspoof2021_DF_eval_part{number % 4:02d}" / "ASVspoof2021_DF_eval" / "flac"
        clip(part / f"{name}.flac", spoof)
    lines(root / "DF-keys-full" / "keys" / "DF" / "CM" / "trial_metadata.txt", *rows)
    return root


def asvspoof2021_pa(root):
    """ASVspoof 2021 PA: parts of the audio within one folder, the key of 12 columns inside it."""
    base = root / "ASVspoof2021_PA_eval"
    rows = []
    for number, name, spoof, speaker, subset in _trials2021("PA_E_"):
        device = (
            f"d{1 + number % 6} r1 m1 s{2 + number % 3} c4 spoof" if spoof else f"D{1 + number % 6} - - - - bonafide"
        )
        rows.append(f"PA_{speaker} {name} R{1 + number % 9} M{1 + number % 3} {device} notrim {subset}")
        part = base / f"ASVspoof2021_PA_eval_part{number % 2:02d}" / "ASVspoof2021_PA_eval" / "flac"
        clip(part / f"{name}.flac", spoof)
    lines(base / "PA-keys-full" / "keys" / "PA" / "CM" / "trial_metadata.txt", *rows)
    return root


def _trials2021(prefix, first=1000001):
    """The trials of the subset eval, then four of progress and four hidden ones."""
    for number, name, spoof, speaker in trials(prefix, 4 * NUM_SPEAKERS + 8, first):
        rest = number - 4 * NUM_SPEAKERS
        yield number, name, spoof, speaker, "eval" if rest < 0 else "progress" if rest < 4 else "hidden"


def asvspoof5(root):
    """ASVspoof 5, protocols in the folder of their archive: ten columns between spaces, no header, called .tsv."""
    protocols = {"train": "train", "dev": "dev.track_1", "eval": "eval.track_1"}
    folders = {"train": "flac_T", "dev": "flac_D", "eval": "flac_E_eval"}
    for split, letter in LETTERS.items():
        rows = []
        for number, name, spoof, speaker in trials(f"{letter}_000", 12):
            coded = split == "eval" and number % 3 == 0
            codec = f"C{1 + number % 11:02d} 2 {letter}_0001{number:06d}" if coded else "- - -"
            attack = f"AC{1 + number % 3} A{1 + number % 8:02d} spoof" if spoof else "- bonafide bonafide"
            rows.append(f"{letter}_{speaker} {name} {'FM'[number % 2]} {codec} {attack} -")
            clip(root / folders[split] / f"{name}.flac", spoof)
        lines(root / "ASVspoof5_protocols" / f"ASVspoof5.{protocols[split]}.tsv", *rows)
        if split != "train":
            clip(root / folders[split] / f"{letter}_A0000000001.flac")
            for kind, line in (
                ("trial", f"{letter}_0000 {letter}_0001000001 F bonafide target"),
                ("enroll", f"{letter}_0000 {letter}_A0000000001"),
            ):
                lines(root / "ASVspoof5_protocols" / f"ASVspoof5.{split}.track_2.{kind}.tsv", line)
    return root


def add2022(root):
    """ADD 2022: training archive with a folder of labels, test of track 1 unpacked twice over, labels beside it."""
    archive = root / "ADD_train_dev"
    for split, prefix in (("train", "ADD_T_"), ("dev", "ADD_D_")):
        rows = [_add_line(archive / split, name, spoof) for _, name, spoof, _ in trials(prefix, 12)]
        lines(archive / "label" / f"{split}_label.txt", *rows)
        trap(archive / "label", f"{split}_label.txt")
    test = root / "track1test" / "track1test"
    rows = [_add_line(test, name, spoof) for _, name, spoof, _ in trials("ADD_E1_", 12)]
    lines(root / "track1_label.txt", *rows)
    return root


def _add_line(folder, name, spoof):
    clip(folder / f"{name}.wav", spoof)
    return f"{name}.wav {'fake' if spoof else 'genuine'}"


REPLICAS = {
    "ljspeech": ljspeech,
    "wavefake": wavefake,
    "in_the_wild": in_the_wild,
    "for": fake_or_real,
    "fakeavceleb": fakeavceleb,
    "deep_voice": deep_voice,
    "deep_voice_table": deep_voice_table,
    "mlaad": mlaad,
    "dacon_voice": dacon_voice,
    "asvspoof2019_la": asvspoof2019_la,
    "asvspoof2019_pa": asvspoof2019_pa,
    "asvspoof2021_la": asvspoof2021_la,
    "asvspoof2021_df": asvspoof2021_df,
    "asvspoof2021_pa": asvspoof2021_pa,
    "asvspoof5": asvspoof5,
    "add2022": add2022,
}
