"""A GGUF file turned once into a safetensors folder that loads like any other model."""

import hashlib
from functools import partial
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from lightune.cache import built_once


def converted(file: Path, cache: Path) -> Path:
    """Return a folder in Hugging Face format that holds a GGUF file's weights in float32, tokenizer included.

    De-quantising takes a while, so the folder is kept; when several processes ask at the same time one converts.

    Args:
        file: A GGUF file of an architecture that transformers reads.
        cache: Folder for converted files.
    """
    stat = file.stat()
    stamp = f"{file.name}:{stat.st_size}:{stat.st_mtime_ns}"
    folder = cache / "converted" / f"{file.stem}-{hashlib.sha256(stamp.encode()).hexdigest()[:12]}"
    return built_once(folder, partial(_convert, file))


def _convert(file: Path, folder: Path) -> None:
    source = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    loaded = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    # transformers refuses to save a model that came from GGUF, so its tensors move into a fresh one.
    config = AutoConfig.from_pretrained(**source)
    fresh = AutoModelForCausalLM.from_config(config)
    fresh.load_state_dict(loaded.state_dict())
    fresh.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**source).save_pretrained(folder)
