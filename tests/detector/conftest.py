from __future__ import annotations

from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def tiny_wav2vec2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a Wav2Vec2 small enough for a test, in the format that `feature.checkpoint` reads."""
    from torchaudio.models import wav2vec2_model

    architecture = {
        "extractor_mode": "group_norm",
        "extractor_conv_layer_config": [[16, 10, 5], [16, 8, 8], [16, 8, 8]],
        "extractor_conv_bias": False,
        "encoder_embed_dim": 16,
        "encoder_projection_dropout": 0.1,
        "encoder_pos_conv_kernel": 8,
        "encoder_pos_conv_groups": 4,
        "encoder_num_layers": 2,
        "encoder_num_heads": 2,
        "encoder_attention_dropout": 0.1,
        "encoder_ff_interm_features": 32,
        "encoder_ff_interm_dropout": 0.1,
        "encoder_dropout": 0.1,
        "encoder_layer_norm_first": False,
        "encoder_layer_drop": 0.0,
        "aux_num_out": None,
    }
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("wav2vec2") / "tiny.pt"
    torch.save({"architecture": architecture, "state_dict": wav2vec2_model(**architecture).state_dict()}, path)
    return path
