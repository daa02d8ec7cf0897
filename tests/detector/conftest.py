import pytest
import torch
from torchaudio.models import wav2vec2_model


@pytest.fixture(scope="session")
def weights(architectures, tmp_path_factory):
    """A checkpoint of a Wav2Vec2 small enough for a test, in the format that `feature.checkpoint` reads."""
    layers = {"extractor_conv_layer_config": [[8, 10, 5], [8, 8, 8], [8, 8, 8]], "encoder_num_layers": 2}
    architecture = architectures["base"] | layers | {"encoder_layer_drop": 0.0}
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("wav2vec2") / "tiny.pt"
    torch.save({"architecture": architecture, "state_dict": wav2vec2_model(**architecture).state_dict()}, path)
    return path
