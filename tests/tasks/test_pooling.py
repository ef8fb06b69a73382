"""A text's vector is made of its own tokens, whatever it is padded with."""

import pytest
import torch

from lightune.tasks.pooling import EXAMPLES, POOLINGS

HIDDEN = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [5.0, 1.0]], [[2.0, 0.0], [4.0, 8.0], [9.0, 9.0]]])
MASK = torch.tensor([[1, 1, 1], [1, 1, 0]])
BY_HAND = {
    "mean": [[3.0, 3.0], [3.0, 4.0]],
    "cls": [[1.0, 2.0], [2.0, 0.0]],
    "last": [[5.0, 1.0], [4.0, 8.0]],
}


@pytest.mark.parametrize("name", POOLINGS)
def test_by_hand(name: str) -> None:
    assert POOLINGS[name](HIDDEN, MASK).tolist() == BY_HAND[name]


@pytest.mark.parametrize("name", POOLINGS)
def test_padding_is_ignored(name: str) -> None:
    padded = torch.cat([HIDDEN, torch.full((2, 2, 2), 1e4)], 1)
    mask = torch.cat([MASK, torch.zeros(2, 2, dtype=torch.long)], 1)
    assert torch.equal(POOLINGS[name](padded, mask), POOLINGS[name](HIDDEN, MASK))
    changed = HIDDEN.clone()
    changed[1, 2] = -7.0
    assert torch.equal(POOLINGS[name](changed, MASK), POOLINGS[name](HIDDEN, MASK))


@pytest.mark.parametrize("name", POOLINGS)
def test_the_cards_say_the_same(name: str) -> None:
    """Model cards spell the pooling out: it has to be the one that was trained with."""
    found = eval(EXAMPLES[name], {"torch": torch, "hidden": HIDDEN, "mask": MASK})
    assert torch.allclose(found, POOLINGS[name](HIDDEN, MASK))
    assert POOLINGS.keys() == EXAMPLES.keys()
