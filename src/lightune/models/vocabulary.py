"""A tokenizer of one's own: a vocabulary that is learnt from the training rows, in the manner of a backbone's."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from lightune.cache import built_once
from lightune.errors import ConfigError, nearest

ALGORITHMS = ("wordpiece", "bpe", "unigram")
_FILE = "tokenizer.json"
_UNKNOWN = "[UNK]"  # where the backbone's tokenizer has no token for what it does not know
# What rows hold beside texts.
_NO_TEXT = frozenset(("id", "label", "tags", "part", "subject", "group", "role", "answer_start"))


@dataclass(frozen=True)
class TokenizerTraining:
    """How a vocabulary is learnt.

    Args:
        algorithm: ``wordpiece`` (Schuster and Nakajima 2012), ``bpe`` of bytes (Sennrich et al. 2016, Radford et al.
            2019) or ``unigram`` (Kudo 2018, as SentencePiece has it).
        vocab_size: Most tokens, special ones included.
        min_frequency: How often a piece has to occur; not for ``unigram``.
        lowercase: Whether case is dropped.
    """

    algorithm: str
    vocab_size: int = 8000
    min_frequency: int = 2
    lowercase: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be learnt.

        Raises:
            ConfigError: There is no such algorithm, or the vocabulary has no room for single characters.
        """
        if self.algorithm not in ALGORITHMS:
            raise ConfigError(
                f"tokenizer.algorithm={self.algorithm}: there is no such algorithm", nearest(self.algorithm, ALGORITHMS)
            )
        if self.vocab_size < 300:
            raise ConfigError(
                f"tokenizer.vocab_size={self.vocab_size}: expected at least 300", "type tokenizer.vocab_size=8000"
            )

    def learnt(self, texts: Sequence[str], like: PreTrainedTokenizerBase, cache: Path) -> str:
        """Return the tokenizer that the texts give, as JSON: what `restored` takes.

        It is learnt once; when several processes ask at the same time, one learns and the others wait.

        Args:
            texts: What it is learnt from.
            like: A tokenizer with the special tokens that it is to have, and to put round texts.
            cache: Folder that holds what was learnt before.
        """
        digest = hashlib.sha256(json.dumps([asdict(self), like.special_tokens_map, _template(like)]).encode())
        for text in texts:
            digest.update(text.encode() + b"\0")
        folder = cache / "tokenizers" / digest.hexdigest()[:32]

        def build(unfinished: Path) -> None:
            learnt = self._learnt(texts, like)
            unfinished.mkdir()
            learnt.save(str(unfinished / _FILE))

        return (built_once(folder, build) / _FILE).read_text(encoding="utf-8")

    def _learnt(self, texts: Iterable[str], like: PreTrainedTokenizerBase) -> Tokenizer:
        tokenizer, trainer = self._untrained(list(dict.fromkeys(special_tokens(like).values())), like)
        tokenizer.train_from_iterator(texts, trainer)
        single, pair, ids = _template(like)
        if ids:
            tokenizer.post_processor = TemplateProcessing(
                single=single, pair=pair, special_tokens=[(token, tokenizer.token_to_id(token)) for token in ids]
            )
        return tokenizer

    def _untrained(self, special: list[str], like: PreTrainedTokenizerBase) -> tuple[Tokenizer, Any]:
        """Return a tokenizer without a vocabulary, and what learns one for it."""
        lower = [normalizers.Lowercase()] if self.lowercase else []
        options: dict[str, Any] = {"vocab_size": self.vocab_size, "special_tokens": special, "show_progress": False}
        unknown = special_tokens(like)["unk_token"]
        if self.algorithm == "wordpiece":
            tokenizer = Tokenizer(models.WordPiece(unk_token=unknown))
            tokenizer.normalizer = normalizers.BertNormalizer(lowercase=self.lowercase)
            tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
            tokenizer.decoder = decoders.WordPiece()
            return tokenizer, trainers.WordPieceTrainer(min_frequency=self.min_frequency, **options)
        if self.algorithm == "bpe":
            tokenizer = Tokenizer(models.BPE())
            tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), *lower])
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            tokenizer.decoder = decoders.ByteLevel()
            alphabet = pre_tokenizers.ByteLevel.alphabet()
            return tokenizer, trainers.BpeTrainer(
                min_frequency=self.min_frequency, initial_alphabet=alphabet, **options
            )
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), *lower])
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        return tokenizer, trainers.UnigramTrainer(unk_token=unknown, **options)


def restored(content: str, like: PreTrainedTokenizerBase) -> PreTrainedTokenizerFast:
    """Return the tokenizer that was learnt.

    Args:
        content: What `TokenizerTraining.learnt` returned.
        like: The tokenizer that it was learnt in the manner of.
    """
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(content),
        **special_tokens(like),
        model_max_length=like.model_max_length,
        padding_side=like.padding_side,
        chat_template=like.chat_template,
        model_input_names=like.model_input_names,
    )


def special_tokens(like: PreTrainedTokenizerBase) -> dict[str, str]:
    """Return the special tokens by their roles, with one for the unknown."""
    own = {role: str(token) for role, token in like.special_tokens_map.items() if isinstance(token, str)}
    return {"unk_token": _UNKNOWN, **own}


def _template(like: PreTrainedTokenizerBase) -> tuple[str, str, list[str]]:
    """Return how special tokens stand round one text and round two, in the language of `TemplateProcessing`."""
    special = set(like.all_special_ids)
    first = like("a", add_special_tokens=False)["input_ids"]
    alone, both = like("a"), like("a", "b")
    kinds = both.get("token_type_ids", [0] * len(both["input_ids"]))

    def part(token: int) -> str:
        return str(like.convert_ids_to_tokens(token)) if token in special else "$A" if token in first else "$B"

    single = " ".join(map(part, alone["input_ids"]))
    pair = " ".join(f"{part(token)}:{kind}" for token, kind in zip(both["input_ids"], kinds, strict=True))
    return single, pair, [part(token) for token in dict.fromkeys(both["input_ids"]) if token in special]


def texts_of(rows: Iterable[Any]) -> Iterator[str]:
    """Yield every text of some rows, words of a list as one text; ids and labels are none."""
    for row in rows:
        if isinstance(row, str):
            yield row
        elif isinstance(row, Mapping):
            yield from texts_of(value for key, value in row.items() if key not in _NO_TEXT)
        elif isinstance(row, list | tuple) and row and all(isinstance(item, str) for item in row):
            yield " ".join(row)
        elif isinstance(row, list | tuple):
            yield from texts_of(row)
