"""Rows that are filled well, lose nothing, and whose texts do not see each other."""

import random

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PretrainedConfig

from lightune.data.features import Features
from lightune.data.loaders import Collate
from lightune.data.packing import Packed, best_fit
from lightune.losses import IGNORED, sequence_cross_entropy
from lightune.tasks.language import language_inputs, packed_mask, packed_positions

CONFIGS: dict[str, PretrainedConfig] = {
    "llama": LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2
    ),
    "gpt2": GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0),
}
PADS = {"input_ids": 0, "labels": IGNORED, "segments": 0}


def test_rows_by_hand() -> None:
    # 7 opens a row, 6 another; 3 fits the first exactly, 4 the second; 2 and 2 open a third one.
    assert best_fit([3, 7, 4, 2, 6, 2], 10) == [[1, 0], [4, 2], [3, 5]]


@pytest.mark.parametrize("seed", range(5))
def test_every_feature_once_and_no_row_too_long(seed: int) -> None:
    rng = random.Random(seed)
    lengths = [rng.randint(1, 64) for _ in range(rng.randint(1, 300))]
    rows = best_fit(lengths, 64)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in row) <= 64 for row in rows)
    # Johnson's bound: never more than 11/9 of the best, and that is at least the total length.
    assert len(rows) <= 11 / 9 * (sum(lengths) / 64 + 1) + 4


def test_a_row_holds_its_features_one_after_the_other() -> None:
    features = Features.from_dict(
        {"input_ids": [[1, 2], [3], [4, 5, 6]], "labels": [[IGNORED, 2], [IGNORED], [IGNORED, 5, 6]], "seed": [1, 2, 3]}
    )
    packed = Packed(features, [[2, 0], [1]], ["input_ids", "labels"])
    assert len(packed) == 2
    assert packed[0] == {
        "input_ids": [4, 5, 6, 1, 2],
        "labels": [IGNORED, 5, 6, IGNORED, 2],
        "segments": [1, 1, 1, 2, 2],
    }
    assert packed[1]["segments"] == [1]


def test_masks_and_positions_by_hand() -> None:
    segments = torch.tensor([[1, 1, 2, 0]])
    assert packed_mask(segments)[0, 0].int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert packed_positions(segments).tolist() == [[0, 1, 0, 0]]
    assert packed_positions(torch.tensor([[1, 1, 1, 2, 2, 3]])).tolist() == [[0, 1, 2, 0, 1, 0]]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", CONFIGS)
def test_packed_and_single_losses_agree(kind: str, attention: str) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[kind], attn_implementation=attention).eval()
    rng = random.Random(0)
    ids = [[rng.randrange(50) for _ in range(length)] for length in (5, 9, 3, 7, 4)]
    columns = {"input_ids": ids, "labels": [[IGNORED, *row[1:]] for row in ids]}
    features = Features.from_dict(columns)
    collate = Collate(PADS)
    single = collate([features[i] for i in range(len(ids))])
    packed = Packed(features, best_fit([len(row) for row in ids], 16), list(columns))
    assert len(packed) < len(ids)
    both = [collate([packed[i] for i in range(len(packed))]), single]
    sums, counts = zip(
        *(
            sequence_cross_entropy(model(**language_inputs(model, batch)).logits, batch["labels"], shift=True)
            for batch in both
        ),
        strict=True,
    )
    assert counts[0].sum() == counts[1].sum() == sum(len(row) - 1 for row in ids)
    assert float(sums[0].sum()) == pytest.approx(float(sums[1].sum()), abs=1e-5 * len(ids))
