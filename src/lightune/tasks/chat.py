"""Conversations: the forms in which data has them, and where in their rendered text the responses stand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from transformers import PreTrainedTokenizerBase

from lightune.errors import ConfigError, DataError, nearest

Message = dict[str, str]
Span = tuple[int, int]

ROLES = ("system", "user", "assistant", "tool")
ANY_RESPONSE: Message = {"role": "assistant", "content": "-"}  # where one is only to be generated
# What data sets in ShareGPT's form call them.
_OTHER_NAMES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant", "observation": "tool"}
_KEYS = (("role", "content"), ("from", "value"))

# For tokenizers that bring none. A line says who speaks, and the end token follows a response.
PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}"
    "{% if message.role == 'assistant' %}{{ eos_token or sep_token }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def awaits_response(value: Any) -> bool:
    """Tell whether a conversation ends with something else than a response."""
    last = value[-1] if isinstance(value, list) and value else None
    named = next((str(last[key]) for key, _ in _KEYS if key in last), "") if isinstance(last, Mapping) else ""
    return bool(named) and _OTHER_NAMES.get(named, named) != "assistant"


def checked_messages(value: Any, place: str) -> list[Message]:
    """Return a conversation as a list of role and content.

    Args:
        value: A list of ``{"role": …, "content": …}``, or of ``{"from": …, "value": …}``.
        place: Names the row, for messages.

    Raises:
        DataError: It has another form, an unknown role, a blank message, or does not end with a response.
    """
    if not isinstance(value, list) or not value:
        raise DataError(
            f"{place}: a conversation should be a list of messages, and is {value!r:.60}",
            'bring it into the form [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]',
        )
    messages = [_checked(message, place, number) for number, message in enumerate(value, 1)]
    if messages[-1]["role"] != "assistant":
        raise DataError(
            f"{place}: the conversation ends with a message of the role '{messages[-1]['role']}'",
            "end it with a response of the assistant: that is what is learnt",
        )
    for before, after in pairwise(messages):
        if before["role"] == after["role"] == "assistant":
            raise DataError(f"{place}: two messages of the assistant follow each other", "join them")
    return messages


def _checked(message: Any, place: str, number: int) -> Message:
    keys = next((pair for pair in _KEYS if isinstance(message, Mapping) and set(pair) <= set(message)), None)
    if keys is None:
        raise DataError(
            f"{place}: message {number} should have a role and a content, and is {message!r:.60}",
            'give it as {"role": "user", "content": "…"}',
        )
    named, content = str(message[keys[0]]), message[keys[1]]
    role = _OTHER_NAMES.get(named, named)
    if role not in ROLES:
        raise DataError(f"{place}: message {number} has the unknown role '{named}'", nearest(named, ROLES))
    if not isinstance(content, str) or not content.strip():
        raise DataError(f"{place}: message {number} should hold a text, and holds {content!r:.60}", "fill it in")
    return {"role": role, "content": content}


@dataclass(frozen=True)
class ChatTemplate:
    """Renders conversations as one text, and knows where the responses stand in it.

    Args:
        tokenizer: Whose own template is used.
        template: A Jinja template instead.
    """

    tokenizer: PreTrainedTokenizerBase
    template: str | None = None

    def render(self, messages: Sequence[Message], *, respond: bool = False) -> str:
        """Return the text of a conversation; with `respond` up to where the next response would begin."""
        template = self.template or self.tokenizer.chat_template or PLAIN_TEMPLATE
        text = self.tokenizer.apply_chat_template(
            list(messages),
            chat_template=template,
            tokenize=False,
            add_generation_prompt=respond,
            sep_token=self.tokenizer.sep_token,
        )
        return str(text)

    def responses(self, messages: Sequence[Message]) -> tuple[str, list[Span]]:
        """Return the text of a conversation, and the first and end character of each response in it.

        A response reaches to the token that ends it, which is learnt too. Its place is found by rendering what comes
        before it, not by looking for a marker, which a message might contain.

        Raises:
            ConfigError: The template writes the beginning of a conversation differently when it goes on.
        """
        whole = self.render(messages)
        spans = []
        for place, message in enumerate(messages):
            if message["role"] == "assistant":
                before, after = self.render(messages[:place], respond=True), self.render(messages[: place + 1])
                if not (whole.startswith(before) and whole.startswith(after.rstrip())):
                    raise ConfigError(
                        "task.chat_template: the template changes earlier messages when a conversation goes on, so the "
                        "place of a response cannot be told",
                        "give another template: task.chat_template=…, or conversations of one turn",
                    )
                spans.append((len(before), len(after.rstrip())))
        return whole, spans
