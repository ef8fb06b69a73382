"""Tiny backbones of each kind with files of their own, so that they count as pretrained."""

from collections.abc import Mapping
from typing import Any

# What each is made of.
BODIES: Mapping[str, dict[str, Any]] = {
    "encoder": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128},
    "decoder": {
        "model_type": "llama",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "intermediate_size": 128,
        "tie_word_embeddings": True,
    },
    "encoder-decoder": {
        "model_type": "t5",
        "d_model": 64,
        "d_kv": 32,
        "d_ff": 128,
        "num_layers": 2,
        "num_heads": 2,
        "decoder_start_token_id": 0,
    },
}
SPREAD: Mapping[str, dict[str, float]] = {
    "encoder": {"initializer_range": 0.2},
    "decoder": {"initializer_range": 0.2},
    "encoder-decoder": {},
}
CLASSES = {"encoder": "AutoModel", "decoder": "AutoModelForCausalLM", "encoder-decoder": "AutoModelForSeq2SeqLM"}
