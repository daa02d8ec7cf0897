from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="session")
def architectures() -> dict[str, dict[str, Any]]:
    """Arguments of tiny models of every kind that torchaudio has bundles of."""
    base: dict[str, Any] = {
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
    return {
        "base": base,
        "asr": base | {"aux_num_out": 29},
        "large": base | {"extractor_mode": "layer_norm", "encoder_layer_norm_first": True},
        "wavlm": base | {"encoder_num_buckets": 8, "encoder_max_distance": 16},
    }
