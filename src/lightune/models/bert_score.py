"""BERTScore: how alike two texts are to a pretrained encoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

from lightune.models.backbone import Backbone


@dataclass(frozen=True)
class BertScore:
    """BERTScore (Zhang et al. 2020), mean over examples of the F1 with the best reference; 1 is the same text.

    Each token of one text is matched with the likest of the other, by the cosine of their hidden states. Special tokens
    are left out, tokens are not weighted and scores not rescaled, so those of different encoders or layers cannot be
    compared. (torchmetrics has it too; where texts are of different lengths it compares each with another's reference.)

    Args:
        path: The encoder: a folder, or a name on the Hub.
        package: Installed package that carries it; used instead of `path` where it is installed.
        folder: Where it lies in that package.
        layer: Hidden layer that is compared, from 1; None is the last.
        max_length: Tokens of a text; the rest is cut.
        batch_size: Texts at once.
    """

    path: str
    package: str | None = None
    folder: str | None = None
    layer: int | None = None
    max_length: int = 512
    batch_size: int = 64

    def __call__(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
        """Return ``bert_score``, 0.0 where there is nothing to compare.

        Args:
            predictions: Texts.
            references: Of each, the texts that are equally right.
        """
        if not predictions:
            return {"bert_score": 0.0}
        vectors = self._vectors({*predictions, *(text for several in references for text in several)})
        pairs = zip(predictions, references, strict=True)
        best = [max(matching_f1(vectors[found], vectors[text]) for text in several) for found, several in pairs]
        return {"bert_score": sum(best) / len(best)}

    def _vectors(self, texts: set[str]) -> dict[str, Tensor]:
        """Return the vectors of each text's tokens, ``(tokens, size)``, of length 1."""
        place = Backbone(self.path, package=self.package, folder=self.folder).location
        device = "cuda" if torch.cuda.is_available() else "cpu"
        tokenizer, model = AutoTokenizer.from_pretrained(place), AutoModel.from_pretrained(place).to(device).eval()
        ordered = sorted(texts, key=len)
        found: dict[str, Tensor] = {}
        for begin in range(0, len(ordered), self.batch_size):
            batch = ordered[begin : begin + self.batch_size]
            found.update(zip(batch, self._encoded(batch, tokenizer, model, device), strict=True))
        return found

    @torch.inference_mode()
    def _encoded(self, batch: list[str], tokenizer: Any, model: Any, device: str) -> list[Tensor]:
        options = {"truncation": True, "max_length": self.max_length, "padding": True, "return_tensors": "pt"}
        encoded = tokenizer(batch, return_special_tokens_mask=True, **options).to(device)
        words = encoded.pop("special_tokens_mask") == 0
        states = model(**encoded, output_hidden_states=True).hidden_states[-1 if self.layer is None else self.layer]
        normed = functional.normalize(states.float(), dim=-1)
        return [vectors[kept].cpu() for vectors, kept in zip(normed, words, strict=True)]


def matching_f1(found: Tensor, right: Tensor) -> float:
    """Return the F1 of two texts whose tokens are matched greedily (equations 1 and 2 of the paper, without weights).

    Args:
        found: Vectors of length 1 of the predicted text's tokens, ``(tokens, size)``.
        right: Those of the reference.

    Returns:
        0.0 where either text has no token.
    """
    if not (len(found) and len(right)):
        return 0.0
    cosines = found @ right.T
    precision, recall = cosines.amax(1).mean(), cosines.amax(0).mean()
    return float(2 * precision * recall / (precision + recall))
