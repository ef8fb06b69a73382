"""Prompts: fixed words around a text, of which alone something may be cut off."""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from lightune.errors import ConfigError
from lightune.tasks.documents import boundary_tokens, leading_tokens

SOURCE = "{source}"


@dataclass(frozen=True)
class Prompts:
    """Turns texts into prompts of limited length.

    Args:
        template: With ``{source}`` where the text stands.
        tokenizer: Of the backbone.
        longest: Tokens of a prompt at most.
        closed: Whether the token that ends a text follows, as encoders are used to.
    """

    template: str
    tokenizer: PreTrainedTokenizerBase
    longest: int
    closed: bool = False

    def encode(self, sources: Sequence[str]) -> tuple[list[list[int]], list[bool]]:
        """Return each prompt's token ids, and whether its text was cut.

        Raises:
            ConfigError: The template has no place for the text, or is too long by itself.
        """
        before, found, after = self.template.partition(SOURCE)
        if not found:
            raise ConfigError(f"task.prompt: {self.template!r} has no {SOURCE} in it", "say where the text stands")
        whole = [before + source + after for source in sources]
        encoded = self.tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ends = [len(before) + len(source) for source in sources]
        pairs = [
            self._shortened(ids, [start for start, _ in offsets], len(before), end)
            for ids, offsets, end in zip(encoded["input_ids"], encoded["offset_mapping"], ends, strict=True)
        ]
        return [ids for ids, _ in pairs], [cut for _, cut in pairs]

    def _shortened(self, ids: list[int], starts: list[int], first: int, end: int) -> tuple[list[int], bool]:
        """Leave out as many of the last tokens of the text, which lies from `first` to `end`, as are too many."""
        lead = leading_tokens(self.tokenizer)
        tail = [boundary_tokens(self.tokenizer)[1]] if self.closed else []
        surplus = len(lead) + len(ids) + len(tail) - self.longest
        if surplus <= 0:
            return [*lead, *ids, *tail], False
        inside = [place for place, start in enumerate(starts) if first <= start < end]
        if surplus >= len(inside):
            raise ConfigError(
                f"task.prompt: {len(ids) - len(inside)} tokens of it stand around the text, and {self.longest} is all "
                "that there is room for",
                "type a larger data.max_length, or a smaller task.max_target_length",
            )
        dropped = set(inside[-surplus:])
        return [*lead, *(token for place, token in enumerate(ids) if place not in dropped), *tail], True
