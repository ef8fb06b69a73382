"""Starts that are computed from training data, on an encoder whose files bring a pooler."""

from pathlib import Path

import pytest
from torch import nn

from lightune.errors import ConfigError
from tests import running

RUN = ("task=classification", "data.batch_size=16", "peft.config.r=2", "+model.config.initializer_range=0.2")


def _adapted(model: nn.Module) -> set[str]:
    return {name.split(".lora_A")[0] for name, _ in model.named_parameters() if ".lora_A." in name}


@pytest.mark.parametrize("method", ["eva", "corda"])
def test_a_pooler_is_left_as_it_is(method: str, tmp_path: Path) -> None:
    """It is given one state of each row, and not one of each token."""
    model = running.assembled(tmp_path, f"peft={method}", *RUN).module.model
    assert len(_adapted(model)) == 12
    assert not any("pooler" in name for name in _adapted(model))


def test_gradients_take_a_pooler_too(tmp_path: Path) -> None:
    model = running.assembled(tmp_path, "peft=lora_ga", *RUN).module.model
    assert any("pooler" in name for name in _adapted(model))


def test_directions_that_do_not_settle_are_given_up(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="have not settled after 2 batches") as caught:
        running.assembled(tmp_path, "peft=eva", *RUN, "peft.start.at_most=2")
    assert "peft.start.batches" in caught.value.remedy


def test_a_layer_without_as_many_singular_vectors_is_named(tmp_path: Path) -> None:
    typed = ("task=clm", "model=tiny-decoder", "peft=lora_ga", "peft.config.r=9")
    with pytest.raises(ConfigError, match=r"peft\.config\.r=9: .* 18 singular vectors .*[kv]_proj has 16") as caught:
        running.assembled(tmp_path, *typed)
    assert caught.value.remedy == "type peft.config.r=8"
    running.assembled(tmp_path, *typed[:3], "peft.config.r=8")
