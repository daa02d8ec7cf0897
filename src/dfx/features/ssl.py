"""Hidden states of self-supervised speech encoders of the library transformers."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfx.features.hidden_states import HiddenStates

NORM_EPS = 1e-7  # of the variance, as the feature extractors of transformers have it
# Nothing is dropped or masked at random in training, and no layer after the encoder changes its last state.
FIXED = {"layerdrop": 0.0, "mask_time_prob": 0.0, "mask_feature_prob": 0.0, "add_adapter": False}
# Values of `model_type`: those that take waveforms, with one length of all hidden states (that of SEW differs). No
# class of theirs builds other models (`backbone`) or loads files that its configuration names.
FAMILIES = ("wav2vec2", "wav2vec2-conformer", "hubert", "wavlm", "unispeech", "unispeech-sat", "data2vec-audio")
# Parts of a configuration that have no effect on the encoder, or change the form of its output; others that its class
# does not list (`attn_implementation`, `auto_map`) are left out too, as they may name files and code.
LEFT_OUT = ("architectures", "transformers_version", "id2label", "label2id", "dtype", "return_dict")
PREFIXES_LEFT_OUT = ("use_", "output_hidden", "backbone", "attn_")
MOST_REASON = 200  # characters


class SSL(HiddenStates):
    """Hidden states of a speech encoder of transformers as channels (batch, layers + 1, dim, frames).

    Wav2Vec2 (also XLS-R), HuBERT, WavLM and the other `FAMILIES`, by the name of a model on the Hugging Face hub or by
    a folder that holds one. The channels are the encoder's own `hidden_states`: the input of the first Transformer
    layer and the output of each; where the encoder ends in a layer norm, the last channel is its output. Waveforms are
    normalised clip by clip where the model's feature extractor does so. Code from the hub is never run. A checkpoint of
    dfx holds configuration and weights, and is loaded without the hub.

    Args:
        sample_rate: of the waveforms: 16000, which all these models were trained on.
        name: of the model on the hub, such as `microsoft/wavlm-base-plus`, or a folder.
        architecture: configuration of transformers with `model_type` and `do_normalize`, for random weights that are
            loaded or trained later; used instead of a name.
        finetune_from_epoch: first epoch (counted from 0) that trains the encoder too; None keeps it frozen.
        mask, cache: see `HiddenStates`.

    Raises:
        ValueError: if transformers is not installed, there is no such speech encoder, or its family is another.
    """

    weight_sources = ("name",)

    def __init__(
        self,
        sample_rate: int,
        name: str | None = "microsoft/wavlm-base-plus",
        architecture: Mapping[str, Any] | None = None,
        finetune_from_epoch: int | None = None,
        mask: nn.Module | None = None,
        cache: bool = False,
    ) -> None:
        super().__init__(sample_rate, finetune_from_epoch, mask, cache)
        if architecture is None and name is None:
            raise ValueError(
                "SSL needs an encoder, got neither name nor architecture: name a model of the Hugging Face hub, such "
                "as microsoft/wavlm-base-plus, or a folder."
            )
        self.use_encoder(*(_download(str(name)) if architecture is None else _build(dict(architecture))))

    def extract(self, waveform: Tensor) -> Tensor:
        """Convert waveforms (batch, samples) to hidden states (batch, layers + 1, dim, frames); at least one frame."""
        self.require_one_frame(waveform.shape[1])
        if self.architecture["do_normalize"]:
            waveform = F.layer_norm(waveform, waveform.shape[1:], eps=NORM_EPS)
        output = self.encoder(waveform, output_hidden_states=True)
        # Where the encoder ends in a layer norm, only `last_hidden_state` is its output in every version.
        return torch.stack([*output.hidden_states[:-1], output.last_hidden_state], dim=1).transpose(2, 3)

    @property
    def conv_layers(self) -> Sequence[tuple[int, int]]:
        """Kernel and stride of each convolution before the Transformer."""
        return list(zip(self.encoder.config.conv_kernel, self.encoder.config.conv_stride, strict=True))


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ValueError(
            f"feature=ssl needs the package transformers, which cannot be imported ({error}): pip install "
            "'dfx[transformers]'."
        ) from error
    return transformers


def _build(architecture: dict[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
    library = _transformers()
    given = {
        key: list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value  # not OmegaConf's
        for key, value in architecture.items()
    }
    normalize = bool(given.pop("do_normalize", False))
    _require_family(given, "feature.architecture")
    try:
        config = _config(library, given)
        encoder: nn.Module = library.AutoModel.from_config(config, trust_remote_code=False)
    except Exception as error:  # transformers raises errors of many kinds
        raise ValueError(
            f"An architecture of feature=ssl is a configuration of transformers with its model_type, got "
            f"{sorted(architecture)} ({_reason(error)}): give a complete one."
        ) from error
    return encoder, _plain(config, normalize)


def _download(name: str) -> tuple[nn.Module, dict[str, Any]]:
    library = _transformers()
    try:
        given, _ = library.PreTrainedConfig.get_config_dict(name)
    except (OSError, ValueError) as error:
        raise _unavailable(name, error) from error
    _require_family(given, name)
    try:
        config = _config(library, given)
        encoder, found = library.AutoModel.from_pretrained(
            name, config=config, trust_remote_code=False, output_loading_info=True, dtype=torch.float32
        )
        if found["missing_keys"]:
            raise ValueError(f"its file lacks {len(found['missing_keys'])} weights")
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise _unavailable(name, error) from error
    try:
        extractor = library.AutoFeatureExtractor.from_pretrained(name, trust_remote_code=False)
        normalize = bool(extractor.do_normalize)
    except (OSError, ValueError):  # no such file beside the weights; models with layer norms were trained so
        normalize = getattr(config, "feat_extract_norm", "layer") == "layer"  # data2vec-audio always has layer norms
    return encoder, _plain(config, normalize)


def _require_family(given: Mapping[str, Any], name: str) -> None:
    family = given.get("model_type")
    if family not in FAMILIES:
        raise ValueError(
            f"feature=ssl takes speech encoders of the families {', '.join(FAMILIES)}, got model_type={family!r:.60} "
            f"({name}): name an encoder of one of them."
        )


def _config(library: Any, given: Mapping[str, Any]) -> Any:
    """Return the configuration of an encoder, of plain values that its class lists; others are left out."""
    kind = library.CONFIG_MAPPING[given["model_type"]]
    known = inspect.signature(kind).parameters
    kept = {
        key: value
        for key, value in given.items()
        if key in known and key not in LEFT_OUT and not key.startswith(PREFIXES_LEFT_OUT)
    }
    for key, value in kept.items():
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(one, str | int | float | None) for one in values):
            raise ValueError(f"{key} is neither number, text nor a list of them")
    return kind(**kept | {key: value for key, value in FIXED.items() if key in known})


def _unavailable(name: str, error: Exception) -> ValueError:
    return ValueError(
        f"The speech encoder {name!r} cannot be had ({_reason(error)}): connect to the internet once, or copy the "
        "model's files to a folder and give its path (feature.name=FOLDER)."
    )


def _plain(config: Any, normalize: bool) -> dict[str, Any]:
    """Return a configuration as values for checkpoints and YAML."""
    values = config.to_diff_dict() | {"model_type": config.model_type, "do_normalize": normalize}
    kept = {k: v for k, v in values.items() if k not in LEFT_OUT and not k.startswith("_")}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in sorted(kept.items())}


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:MOST_REASON] or type(error).__name__
