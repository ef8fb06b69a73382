"""An encoder-decoder both of whose sides start from the weights of one encoder."""

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer, EncoderDecoderModel

from lightune.cache import built_once


def paired(location: str, cache: Path) -> Path:
    """Return a folder in Hugging Face format with an encoder's weights on both sides (Rothe et al. 2020).

    What the encoder does not have, the attention from decoder to encoder and the language-model head, is left out of
    the folder: it is new, and whoever loads the model finds it missing and draws it.

    Args:
        location: Folder or Hub name of the encoder.
        cache: Folder for converted files; the result is kept there.
    """
    stamp = f"{location}:{Path(location).stat().st_mtime_ns if Path(location).exists() else ''}"
    folder = cache / "paired" / f"{Path(location).name}-{hashlib.sha256(stamp.encode()).hexdigest()[:12]}"
    return built_once(folder, partial(_pair, location))


def _pair(location: str, folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(location)
    config = AutoConfig.from_pretrained(location)
    config.is_decoder = config.add_cross_attention = True
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        location, config=config, dtype=torch.float32, output_loading_info=True
    )
    decoder, info = loaded
    encoder = AutoModel.from_pretrained(location, dtype=torch.float32)
    model = EncoderDecoderModel(encoder=encoder, decoder=decoder)
    model.config.decoder_start_token_id = tokenizer.cls_token_id
    model.config.eos_token_id = tokenizer.sep_token_id
    model.config.pad_token_id = tokenizer.pad_token_id
    fresh = {f"decoder.{name}" for name in info["missing_keys"]}
    known = {name: tensor for name, tensor in model.state_dict().items() if name not in fresh}
    model.save_pretrained(folder, state_dict=known)
    tokenizer.save_pretrained(folder)
