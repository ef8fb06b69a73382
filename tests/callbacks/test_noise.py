"""NEFTune: as much noise as its paper says, while training alone, and the same after a resume."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lightune.callbacks import EmbeddingNoise
from lightune.errors import ConfigError
from tests import running

NOISY = ("callbacks=[default,neftune]", "task=classification", *running.BERT_WITHOUT_DROPOUT, "scheduler=constant")


@pytest.mark.parametrize("method", ["lora", "full"])
def test_noise_is_as_strong_as_told_and_only_in_training(method: str, tmp_path: Path) -> None:
    experiment = running.assembled(tmp_path, *NOISY, f"peft={method}")
    noise = EmbeddingNoise(alpha=7.0)
    module: Any = experiment.module
    embeddings = module.model.get_input_embeddings()
    ids = torch.arange(48).view(3, 16)
    plain = embeddings(ids)
    noise.on_fit_start(experiment.trainer, module)
    module.train()
    largest = 7.0 / (16 * plain.size(-1)) ** 0.5
    found = (embeddings(ids) - plain).abs()
    assert 0.9 * largest < float(found.max()) <= largest * (1 + 1e-5)
    assert float(found.mean()) == pytest.approx(largest / 2, rel=0.1)
    module.eval()
    assert torch.equal(embeddings(ids), plain)
    module.train()
    noise.on_fit_end(experiment.trainer, module)
    assert torch.equal(embeddings(ids), plain)


def test_a_noisy_run_goes_on_where_it_was(tmp_path: Path) -> None:
    plain = running.train(tmp_path / "plain", *NOISY[1:], "trainer.max_steps=5")
    cut = running.train(tmp_path / "cut", *NOISY, "trainer.max_steps=3")
    running.resume(cut, "trainer.max_steps=5")
    through = running.train(tmp_path / "through", *NOISY, "trainer.max_steps=5")
    assert running.losses(cut)[3:] == running.losses(through)[3:] != running.losses(plain)[3:]


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan")])
def test_a_strength_has_to_be_positive(alpha: float) -> None:
    with pytest.raises(ConfigError, match="alpha="):
        EmbeddingNoise(alpha)
