"""No method of the peft library is overlooked: each has a file, or a reason why not."""

from pathlib import Path

import peft
import pytest
import yaml

from lightune.check import check
from lightune.check.methods import LEFT_OUT
from lightune.errors import ConfigError
from tests import command

CONF = Path(__file__).resolve().parents[2] / "conf" / "peft"
LIBRARY = {config.__name__ for config in peft.mapping.PEFT_TYPE_TO_CONFIG_MAPPING.values()}


def used() -> set[str]:
    """Return the names of the configurations that files of this project name."""
    nodes = [yaml.safe_load(file.read_text(encoding="utf-8")) or {} for file in CONF.glob("*.yaml")]
    targets = [str((node.get("config") or {}).get("_target_", "")) for node in nodes]
    return {target.removeprefix("peft.") for target in targets if target}


def test_each_method_of_the_library_has_a_file_or_a_reason() -> None:
    assert used() | set(LEFT_OUT) == LIBRARY
    assert not used() & set(LEFT_OUT)


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_is_refused_with_its_reason(name: str) -> None:
    with pytest.raises(ConfigError, match=LEFT_OUT[name]):
        check(command.composed(f"peft.config._target_=peft.{name}"))


@pytest.mark.parametrize(("precision", "computed"), [("32", "float32"), ("bf16-mixed", "bfloat16")])
def test_weights_of_four_bits_are_computed_in_the_precision_of_the_run(precision: str, computed: str) -> None:
    cfg = command.composed(f"precision='{precision}'", "quantization=nf4")
    assert cfg.quantization.bnb_4bit_compute_dtype == computed
