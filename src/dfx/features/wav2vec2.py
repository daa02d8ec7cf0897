"""Hidden states of self-supervised speech models: Wav2Vec2, XLS-R, HuBERT, WavLM."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional as F

from dfx.features.hidden_states import HiddenStates


class Wav2Vec2(HiddenStates):
    """Hidden states of all layers of a Transformer encoder as channels (batch, layers + 1, dim, frames).

    Channel 0 is the input of the first Transformer layer (projected convolutional features with their positional
    embedding), channel n the output of layer n; where the encoder ends in a layer norm, the last channel is its output.
    These are the 13 states of a base model and the 25 of a large one, as SUPERB heads take them.

    The encoder comes from the first of `architecture`, `checkpoint` and `bundle` that is given. While frozen, its
    weights take no gradient and it stays in eval mode; layers are never dropped at random, so that shapes hold.

    Args:
        sample_rate: of the waveforms: 16000, which all these models were trained on.
        bundle: name of a bundle of `torchaudio.pipelines`; its weights are downloaded once.
        checkpoint: file written by `torch.save({"architecture": ..., "state_dict": ...})`, with the keyword arguments
            of `torchaudio.models.wav2vec2_model` (or `wavlm_model`) and the weights of that model.
        architecture: those keyword arguments alone, for random weights that are loaded or trained later.
        finetune_from_epoch: first epoch (counted from 0) that trains the encoder too; None keeps it frozen.
        mask, cache: see `HiddenStates`.

    Raises:
        ValueError: if the sample rate is another, no encoder can be built from what is given, or states are to be
            stored that training changes.
    """

    weight_sources = ("bundle", "checkpoint")

    def __init__(
        self,
        sample_rate: int,
        bundle: str | None = "WAV2VEC2_BASE",
        checkpoint: str | Path | None = None,
        architecture: Mapping[str, Any] | None = None,
        finetune_from_epoch: int | None = None,
        mask: nn.Module | None = None,
        cache: bool = False,
    ) -> None:
        super().__init__(sample_rate, finetune_from_epoch, mask, cache)
        encoder: Any
        if architecture is not None:
            arguments = _plain(architecture)
            encoder = _build(arguments)
        elif checkpoint is not None:
            encoder, arguments = _load(Path(checkpoint))
        elif bundle is not None:
            encoder, arguments = _download(bundle)
        else:
            raise ValueError(
                "Wav2Vec2 needs an encoder, got neither bundle, checkpoint nor architecture: "
                "name a bundle such as WAV2VEC2_BASE, or a checkpoint file."
            )
        # The output layer for speech recognition is not used; its weights would have no gradient.
        encoder.aux = None
        self.use_encoder(encoder, arguments)

    def extract(self, waveform: Tensor) -> Tensor:
        """Convert waveforms (batch, samples) to hidden states (batch, layers + 1, dim, frames); at least one frame."""
        self.require_one_frame(waveform.shape[1])
        if self.architecture["extractor_mode"] == "layer_norm":
            # Every such model was trained on waveforms of mean 0 and variance 1. Each clip by itself: torchaudio's own
            # wrapper normalises over the whole batch, so that a score would depend on the clip's neighbours.
            waveform = F.layer_norm(waveform, waveform.shape[1:])
        transformer = self.encoder.encoder.transformer
        convolved, _ = self.encoder.feature_extractor(waveform, None)
        state = transformer._preprocess(self.encoder.encoder.feature_projection(convolved))
        states = [state]
        position_bias = None
        for layer in transformer.layers:
            state, position_bias = layer(state, None, position_bias=position_bias)
            states.append(state)
        if not transformer.layer_norm_first:  # torchaudio's flag: norm before the layers, else after them
            states[-1] = transformer.layer_norm(state)
        return torch.stack(states, dim=1).transpose(2, 3)

    @property
    def conv_layers(self) -> Sequence[tuple[int, int]]:
        """Kernel and stride of each convolution before the Transformer."""
        return [(layer.kernel_size, layer.stride) for layer in self.encoder.feature_extractor.conv_layers]


def _plain(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Return an encoder architecture, without its head, as dicts and lists for checkpoints and YAML."""
    plain = dict(architecture) | {"aux_num_out": None}
    layers = plain.get("extractor_conv_layer_config")
    if layers is not None:
        plain["extractor_conv_layer_config"] = [list(layer) for layer in layers]
    return plain


def _build(architecture: dict[str, Any]) -> nn.Module:
    wavlm = "encoder_num_buckets" in architecture
    factory = torchaudio.models.wavlm_model if wavlm else torchaudio.models.wav2vec2_model
    try:
        model: nn.Module = factory(**architecture)
    except TypeError as error:
        raise ValueError(
            "A Wav2Vec2 architecture is the keyword arguments of torchaudio.models.wav2vec2_model or wavlm_model, "
            f"got {sorted(architecture)} ({error}): give exactly those."
        ) from error
    return model


def _load(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    if not path.is_file():
        raise ValueError(
            f"There is no Wav2Vec2 checkpoint at {str(path)!r}: correct checkpoint (or DFX_WAV2VEC2), "
            "or leave it out to use a bundle."
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        architecture = _plain(content["architecture"])
        state_dict = {key: value for key, value in content["state_dict"].items() if not key.startswith("aux.")}
        model = _build(architecture)
        model.load_state_dict(state_dict)
    except (RuntimeError, LookupError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(
            "A Wav2Vec2 checkpoint holds an 'architecture' and the 'state_dict' that fits it, "
            f"got {str(path)!r} ({type(error).__name__}: {error}): write it with "
            'torch.save({"architecture": {...}, "state_dict": model.state_dict()}, path).'
        ) from error
    return model, architecture


def _download(name: str) -> tuple[nn.Module, dict[str, Any]]:
    bundles = {
        key: value
        for key, value in vars(torchaudio.pipelines).items()
        if isinstance(value, torchaudio.pipelines.Wav2Vec2Bundle)
    }
    if name not in bundles:
        raise ValueError(f"There is no Wav2Vec2 bundle {name!r}: choose one of {', '.join(sorted(bundles))}.")
    bundle = bundles[name]
    try:
        model = bundle.get_model()
    except OSError as error:
        raise ValueError(
            f"The weights of {name} could not be downloaded ({error}): connect to the internet once, or copy the file "
            f"{Path(bundle._path).name} to {Path(torch.hub.get_dir(), 'checkpoints')}, or give a checkpoint "
            "(feature.checkpoint=FILE)."
        ) from error
    # Bundles with normalised input wrap the model.
    return getattr(model, "model", model), _plain(bundle._params)
