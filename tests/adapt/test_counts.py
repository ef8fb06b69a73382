"""How many parameters each method trains: the arithmetic of its paper, by hand, on a small BERT."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import running

# Width, inner width, layers of the backbone; what follows is summed over the linear layers of all of its layers:
# four squares, one to the inner width, and one back.
WIDTH, INNER, LAYERS = 64, 128, 2
INPUTS = LAYERS * (5 * WIDTH + INNER)
OUTPUTS = LAYERS * (4 * WIDTH + INNER + WIDTH)
ENTRIES = LAYERS * (4 * WIDTH**2 + 2 * WIDTH * INNER)
ADAPTED = LAYERS * 6
BOTH = INPUTS + OUTPUTS
NORMS = 2 * LAYERS + 1
LAYER = 4 * (WIDTH**2 + WIDTH) + 2 * WIDTH * INNER + INNER + WIDTH + 2 * 2 * WIDTH

COUNTS: Mapping[str, int] = {
    "head": 0,
    "bitfit": OUTPUTS + NORMS * WIDTH,
    "ln_tuning": NORMS * 2 * WIDTH,
    "last_layers": LAYER,
    **dict.fromkeys(("lora", "rslora", "lora_plus", "pissa", "olora", "eva", "corda", "lora_ga"), 16 * BOTH),
    **dict.fromkeys(("hira", "peanut", "deft", "gralora", "shira"), 16 * BOTH),
    "dora": 16 * BOTH + OUTPUTS,
    "delora": 16 * BOTH + ADAPTED,
    "adalora": 24 * (BOTH + ADAPTED),
    "mica": 16 * INPUTS,
    "miss": 16 * OUTPUTS,
    "loha": 2 * 8 * BOTH,
    "lokr": ADAPTED * 8 * 8 + ENTRIES // (8 * 8),
    "hra": 8 * INPUTS,
    "oft": INPUTS // 32 * (32 * 31 // 2),
    "boft": INPUTS // 4 * 4 * 4 + OUTPUTS,
    "road": OUTPUTS,
    "c3a": ENTRIES // WIDTH,
    "vera": 256 * ADAPTED + OUTPUTS,
    "pvera": 2 * 256 * ADAPTED + OUTPUTS,
    "tinylora": 64 * ADAPTED,
    "unilora": 4096,
    "fourierft": 1000 * ADAPTED,
    "waveft": 1000 * ADAPTED,
    "pfeiffer": LAYERS * (2 * WIDTH * 4 + 4 + WIDTH),
    "houlsby": 2 * LAYERS * (2 * WIDTH * 4 + 4 + WIDTH),
    "ia3": LAYERS * (3 * WIDTH + INNER),
    "beft": LAYERS * WIDTH,
    "prompt_tuning": 20 * WIDTH,
    "prefix_tuning": 20 * LAYERS * 2 * WIDTH,
    "p_tuning": 20 * WIDTH + (WIDTH + 1) * 128 + (128 + 1) * 128 + (128 + 1) * WIDTH,
    "trainable_tokens": 3 * WIDTH,
}
NEEDED = {"trainable_tokens": ("peft.config.token_indices=[101,102,103]",), "last_layers": ("peft.layers=1",)}


@pytest.mark.parametrize("method", COUNTS)
def test_as_many_parameters_are_trained_as_the_arithmetic_says(
    method: str, pretrained: dict[str, Path], tmp_path: Path
) -> None:
    typed = ("task=classification", "model=auto", f"model.path={pretrained['encoder']}", f"peft={method}")
    experiment = running.assembled(tmp_path, *typed, *NEEDED.get(method, ()))
    trained = {name: p.numel() for name, p in experiment.module.model.named_parameters() if p.requires_grad}
    head = sum(count for name, count in trained.items() if "classifier" in name or "pooler" in name)
    labels = len(experiment.task.head_config()["id2label"])
    assert head == (WIDTH + 1) * labels + (WIDTH + 1) * WIDTH
    assert sum(trained.values()) - head == COUNTS[method]
