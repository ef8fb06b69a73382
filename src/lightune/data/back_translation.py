"""Texts translated into another language and back, as other ways to say the same (Sennrich et al. 2016)."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import track

from lightune.cache import built_once
from lightune.errors import ConfigError

_FILE = "texts.json"
_BATCH = 32  # texts at once, of similar lengths


def back_translated(texts: Sequence[str], models: Sequence[str], cache: Path) -> list[str]:
    """Return each text as a second model gives it back from the translation of the first.

    Translations are greedy, so that they are the same each time, and kept: of several processes one translates.

    Args:
        texts: What is translated.
        models: Two encoder-decoders that read and write plain text, folders or names on the Hub: there, and back.
        cache: Folder that holds what was translated before.

    Raises:
        ConfigError: There are not two models, or one cannot be had.
    """
    if isinstance(models, str) or len(models) != 2:
        raise ConfigError(
            f"data.augment.back_translation={models}: expected two models, there and back",
            "type for instance 'back_translation: [Helsinki-NLP/opus-mt-en-de, Helsinki-NLP/opus-mt-de-en]'",
        )
    content = json.dumps([list(texts), *map(_identity, models)])
    folder = cache / "back_translated" / hashlib.sha256(content.encode()).hexdigest()[:32]

    def build(unfinished: Path) -> None:
        found = list(texts)
        for model, direction in zip(models, ("there", "back"), strict=True):
            found = _translated(found, model, f"Translating {direction}")
        unfinished.mkdir()
        (unfinished / _FILE).write_text(json.dumps(found), encoding="utf-8")

    found: list[str] = json.loads((built_once(folder, build) / _FILE).read_text(encoding="utf-8"))
    return found


def _identity(model: str) -> list[Any]:
    """Return what changes when a folder's weights do."""
    files = sorted(Path(model).expanduser().glob("*.safetensors"))
    return [model, *((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)]


def _translated(texts: Sequence[str], path: str, says: str) -> list[str]:
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        folder = Path(path).expanduser()
        place = str(folder) if folder.is_dir() else path
        tokenizer = AutoTokenizer.from_pretrained(place)
        model = AutoModelForSeq2SeqLM.from_pretrained(place).to(device).eval()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"data.augment.back_translation: {path} could not be loaded: {str(error).strip().splitlines()[0]}",
            "give folders or names of encoder-decoders, such as runs/…/model of task=translation",
        ) from error
    found = [""] * len(texts)
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    for begin in track(range(0, len(texts), _BATCH), says):
        places = order[begin : begin + _BATCH]
        batch = tokenizer(
            [texts[i] for i in places], padding=True, truncation=True, max_length=_room(tokenizer), return_tensors="pt"
        ).to(device)
        most = [2 * int(tokens) + 8 for tokens in batch["attention_mask"].sum(1)]  # of what a translation may have
        with torch.inference_mode():
            whole = model.generate(**_known(batch), do_sample=False, num_beams=1, max_new_tokens=max(most))
        # Cut each by its own length: what else is in a batch changes nothing.
        ids = [row[: 1 + count] for row, count in zip(whole.tolist(), most, strict=True)]
        for position, text in zip(places, map(str, tokenizer.batch_decode(ids, skip_special_tokens=True)), strict=True):
            found[position] = text.strip()
    return found


def _room(tokenizer: Any) -> int:
    return min(int(tokenizer.model_max_length), 512)


def _known(batch: Any) -> dict[str, Any]:
    """Return the inputs that an encoder-decoder takes; some tokenizers give more."""
    return {name: batch[name] for name in ("input_ids", "attention_mask") if name in batch}
