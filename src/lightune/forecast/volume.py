"""How much there is to compute: tokens, and what batches add to them."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Self


@dataclass(frozen=True)
class Volume:
    """Of some batches.

    Args:
        batches: Their number.
        tokens: Of the inputs.
        computed: Tokens that are computed with, those of targets that a decoder reads among them.
        padded: The same with those that only fill rows up to the length of the longest of a batch.
    """

    batches: int = 0
    tokens: int = 0
    computed: int = 0
    padded: int = 0

    @property
    def waste(self) -> float:
        """Share of what is computed with that only fills rows up."""
        return 1 - self.computed / self.padded if self.padded else 0.0

    def __add__(self, other: "Volume") -> "Volume":
        return Volume(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @classmethod
    def of(
        cls,
        batches: Iterable[Sequence[int]],
        tokens: Sequence[int],
        lengths: Sequence[int] | None = None,
        multiple: int | None = None,
    ) -> Self:
        """Return the volume of batches.

        Args:
            batches: Positions of the rows of each.
            tokens: Of each row's inputs.
            lengths: Tokens that each row is computed with; None: those of its inputs.
            multiple: What rows are filled up to a multiple of; None: to the longest of a batch.
        """
        lengths, multiple = tokens if lengths is None else lengths, multiple or 1
        count = inputs = computed = padded = 0
        for batch in batches:
            sizes = [lengths[row] for row in batch]
            count, inputs, computed = count + 1, inputs + sum(tokens[row] for row in batch), computed + sum(sizes)
            padded += len(sizes) * -(-max(sizes) // multiple) * multiple
        return cls(count, inputs, computed, padded)
