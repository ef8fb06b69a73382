"""The sums and counts of lightune.losses against hand arithmetic, NumPy in float64, and their invariances."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lightune.losses import (
    IGNORED,
    binary_cross_entropy,
    contrastive,
    cosent,
    cross_entropy,
    divergence,
    sequence_cross_entropy,
    span_cross_entropy,
    squared_error,
)


def reference(
    logits: Tensor, targets: Tensor, smoothing: float = 0.0, weight: Tensor | None = None
) -> tuple[float, int]:
    """The cross entropy written out in NumPy, one target after the other."""
    rows = logits.double().numpy().reshape(-1, logits.shape[-1])
    factors = np.ones(rows.shape[1]) if weight is None else weight.double().numpy()
    total, count = 0.0, 0
    for row, target in zip(rows, targets.flatten().tolist(), strict=True):
        if target == IGNORED:
            continue
        surprise = -factors * (row - np.log(np.exp(row - row.max()).sum()) - row.max())
        total += (1 - smoothing) * surprise[target] + smoothing * surprise.mean()
        count += 1
    return total, count


def test_hand_arithmetic() -> None:
    # exp(logits) = [1, 3] and [2, 2]: probabilities 3/4 and 1/2 for the targets.
    logits = torch.tensor([[0.0, math.log(3)], [math.log(2), math.log(2)]])
    loss, count = cross_entropy(logits, torch.tensor([1, 0]))
    assert float(loss) == pytest.approx(math.log(4 / 3) + math.log(2))
    assert int(count) == 2


@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_agrees_with_numpy(shape: tuple[int, ...], smoothing: float, weighted: bool) -> None:
    generator = torch.Generator().manual_seed(len(shape))
    logits = 3 * torch.randn(*shape, 6, generator=generator)
    targets = torch.randint(0, 6, shape, generator=generator)
    targets[..., 0] = IGNORED
    weight = torch.rand(6, generator=generator) + 0.5 if weighted else None
    loss, count = cross_entropy(logits, targets, label_smoothing=smoothing, weight=weight)
    expected, targets_left = reference(logits, targets, smoothing, weight)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert int(count) == targets_left
    assert loss.dtype == torch.float32
    assert loss.shape == count.shape == ()


@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_focusing_agrees_with_numpy(gamma: float, weighted: bool) -> None:
    """Lin et al. 2017, equation 5: the loss of a target times (1 - its probability) to the power gamma."""
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(9, 4, generator=generator)
    targets = torch.randint(0, 4, (9,), generator=generator)
    targets[2] = IGNORED
    weight = torch.rand(4, generator=generator) + 0.5 if weighted else None
    loss, count = cross_entropy(logits, targets, weight=weight, focal_gamma=gamma)
    expected = 0.0
    for row, target in zip(logits.double().numpy(), targets.tolist(), strict=True):
        if target != IGNORED:
            p = np.exp(row[target]) / np.exp(row).sum()
            expected += -((1 - p) ** gamma) * np.log(p) * (1.0 if weight is None else float(weight[target]))
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert int(count) == 8


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_what_is_certain_has_a_gradient_without_nan(gamma: float) -> None:
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    cross_entropy(logits, torch.tensor([0, 0]), focal_gamma=gamma)[0].backward()
    binary_cross_entropy(logits, torch.tensor([[1, 1], [0, 1]]), focal_gamma=gamma)[0].backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_independent_labels_agree_with_numpy(gamma: float, weighted: bool) -> None:
    generator = torch.Generator().manual_seed(4)
    logits = 3 * torch.randn(7, 5, generator=generator)
    targets = torch.randint(0, 2, (7, 5), generator=generator)
    weight = torch.rand(5, generator=generator) + 0.5 if weighted else None
    loss, count = binary_cross_entropy(logits, targets, positive_weight=weight, focal_gamma=gamma)
    p, true = 1 / (1 + np.exp(-logits.double().numpy())), targets.numpy()
    factors = np.ones(5) if weight is None else weight.double().numpy()
    given = np.where(true == 1, p, 1 - p)
    expected = -((1 - given) ** gamma) * np.log(given) * np.where(true == 1, factors, 1.0)
    assert float(loss) == pytest.approx(expected.mean(1).sum(), rel=1e-5)
    assert int(count) == 7
    if not gamma and not weighted:  # transformers' own loss for such a head is the mean of the same
        theirs = torch.nn.BCEWithLogitsLoss()(logits, targets.float())
        assert float(loss) / 7 == pytest.approx(float(theirs), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_works_in_float32_at_least(dtype: torch.dtype) -> None:
    logits = torch.randn(64, 1000, generator=torch.Generator().manual_seed(0)).to(dtype)
    targets = torch.arange(64)
    for weight in (None, torch.ones(1000, dtype=dtype)):
        loss, _ = cross_entropy(logits, targets, weight=weight)
        assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert float(loss) == pytest.approx(reference(logits, targets)[0], rel=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        assert float(cross_entropy(logits, targets)[0]) == float(loss)


def test_sums_do_not_depend_on_the_split_into_micro_batches() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(12, 9, 5, generator=generator)
    targets = torch.randint(0, 5, (12, 9), generator=generator)
    targets[torch.rand(12, 9, generator=generator) < 0.4] = IGNORED  # a different number in every row
    whole, count = cross_entropy(logits, targets)
    for size in (1, 5):
        pieces = [cross_entropy(*pair) for pair in zip(logits.split(size), targets.split(size), strict=True)]
        assert float(sum(piece[0] for piece in pieces)) == pytest.approx(float(whole), rel=1e-5)
        assert sum(int(piece[1]) for piece in pieces) == int(count)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("rows", [0, 3])
def test_nothing_to_count_is_zero_and_has_a_gradient(smoothing: float, rows: int) -> None:
    logits = torch.randn(rows, 4, requires_grad=True)
    loss, count = cross_entropy(logits, torch.full((rows,), IGNORED), label_smoothing=smoothing)
    loss.backward()
    assert (loss.item(), count.item()) == (0.0, 0)
    assert torch.equal(logits.grad, torch.zeros(rows, 4))  # type: ignore[arg-type]


def test_another_ignored_value() -> None:
    logits = torch.zeros(3, 2)
    loss, count = cross_entropy(logits, torch.tensor([0, 1, 0]), ignore_index=0)
    assert float(loss) == pytest.approx(math.log(2))
    assert int(count) == 1


def spans(batch: int, length: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    start_logits, end_logits = torch.randn(2, batch, length, generator=generator)
    starts, ends = torch.randint(0, length, (2, batch), generator=generator)
    return start_logits, end_logits, starts, ends


def test_span_loss_by_hand() -> None:
    # Uniform starts over 4 positions: log 4. Ends [1, 3, 1, 1]: probability 1/2 at position 1.
    ends = torch.tensor([[1.0, 3.0, 1.0, 1.0]]).log()
    loss, count = span_cross_entropy(torch.zeros(1, 4), ends, torch.tensor([2]), torch.tensor([1]))
    assert float(loss) == pytest.approx((math.log(4) + math.log(2)) / 2)
    assert int(count) == 1


def test_span_loss_is_that_of_transformers_times_the_features() -> None:
    from transformers.loss.loss_utils import ForQuestionAnsweringLoss

    start_logits, end_logits, starts, ends = spans(6, 11)
    loss, count = span_cross_entropy(start_logits, end_logits, starts, ends)
    expected = ForQuestionAnsweringLoss(start_logits, end_logits, starts, ends)
    assert float(loss / count) == pytest.approx(float(expected), rel=1e-6)


def test_masked_padding_does_not_change_the_span_loss() -> None:
    start_logits, end_logits, starts, ends = spans(3, 8)
    mask = torch.ones(3, 8, dtype=torch.bool)
    bare, _ = span_cross_entropy(start_logits, end_logits, starts, ends, mask=mask)
    padded = torch.nn.functional.pad(torch.stack([start_logits, end_logits]), (0, 5), value=1.5)
    wide = torch.nn.functional.pad(mask, (0, 5), value=False)
    masked, _ = span_cross_entropy(padded[0], padded[1], starts, ends, mask=wide)
    unmasked, _ = span_cross_entropy(padded[0], padded[1], starts, ends)
    assert float(masked) == pytest.approx(float(bare), rel=1e-6)
    assert float(unmasked) > float(bare) + 1


@pytest.mark.parametrize("half", [0, 1])
def test_an_ignored_feature_counts_for_nothing(half: int) -> None:
    start_logits, end_logits, starts, ends = spans(4, 7)
    expected, _ = span_cross_entropy(start_logits[1:], end_logits[1:], starts[1:], ends[1:])
    (starts, ends)[half][0] = IGNORED
    loss, count = span_cross_entropy(start_logits, end_logits, starts, ends)
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)
    assert int(count) == 3


def test_only_ignored_features_are_zero_even_where_everything_is_masked() -> None:
    start_logits = torch.randn(2, 5, requires_grad=True)
    nowhere = torch.full((2,), IGNORED)
    mask = torch.zeros(2, 5, dtype=torch.bool)
    loss, count = span_cross_entropy(start_logits, torch.randn(2, 5), nowhere, nowhere, mask=mask)
    loss.backward()
    assert (loss.item(), count.item()) == (0.0, 0)
    assert torch.equal(start_logits.grad, torch.zeros(2, 5))  # type: ignore[arg-type]


def test_span_loss_in_bfloat16_is_computed_in_float32() -> None:
    start_logits, end_logits, starts, ends = spans(5, 300)
    low = (start_logits.bfloat16(), end_logits.bfloat16())
    loss, _ = span_cross_entropy(*low, starts, ends)
    expected = (reference(low[0], starts)[0] + reference(low[1], ends)[0]) / 2
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_sequences_agree_with_numpy(shift: bool, smoothing: float) -> None:
    generator = torch.Generator().manual_seed(5)
    logits = 3 * torch.randn(3, 5, 7, generator=generator)
    labels = torch.randint(0, 7, (3, 5), generator=generator)
    labels[0, :3] = labels[2] = IGNORED
    sums, counts = sequence_cross_entropy(logits, labels, shift=shift, label_smoothing=smoothing)
    for row in range(3):
        scores, targets = (logits[row, :-1], labels[row, 1:]) if shift else (logits[row], labels[row])
        expected, count = reference(scores, targets, smoothing)
        assert float(sums[row]) == pytest.approx(expected, rel=1e-5)
        assert int(counts[row]) == count
    assert sums.dtype == torch.float32


def test_sequences_without_any_target_have_a_gradient_of_zeros() -> None:
    logits = torch.randn(2, 3, 4, requires_grad=True)
    sums, counts = sequence_cross_entropy(logits, torch.full((2, 3), IGNORED), shift=True)
    sums.sum().backward()
    assert counts.tolist() == sums.tolist() == [0, 0]
    assert logits.grad is not None
    assert not logits.grad.any()


def test_contrastive_by_hand() -> None:
    """Products 2 and 0: the loss is log(1 + e^-2); the second query has nothing to be told from."""
    scores = torch.tensor([[2.0, 0.0], [3.0, 1.0]])
    excluded = torch.tensor([[False, False], [True, True]])
    loss, count = contrastive(scores, torch.tensor([0, 1]), excluded=excluded)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-6)
    assert int(count) == 2


def test_contrastive_is_torchs_cross_entropy() -> None:
    scores = torch.randn(5, 9, generator=torch.Generator().manual_seed(0), requires_grad=True)
    targets = torch.tensor([0, 8, IGNORED, 3, 3])
    loss, count = contrastive(scores, targets, excluded=torch.zeros(5, 9, dtype=torch.bool))
    wanted = functional.cross_entropy(scores, targets, reduction="sum")
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-6)
    assert int(count) == 4
    (ours,), (theirs,) = (torch.autograd.grad(value, scores, retain_graph=True) for value in (loss, wanted))
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_squared_error_by_hand() -> None:
    loss, count = squared_error(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 5.0]))
    assert (loss.item(), int(count)) == (5.0, 2)


def _cosent_as_defined(cosines: Tensor, scores: Tensor, temperature: float) -> Tensor:
    """The sum over all pairs of pairs, one by one."""
    mistakes = [
        ((low - high) / temperature).exp()
        for high, above in zip(cosines, scores, strict=True)
        for low, below in zip(cosines, scores, strict=True)
        if above > below
    ]
    return len(cosines) * torch.log(1 + torch.stack([*mistakes, torch.zeros(())]).sum())


@pytest.mark.parametrize("scores", [[1.0, 2.0, 0.5, 2.0, 4.0, 0.5], [3.0] * 6, [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]])
def test_cosent_is_the_sum_over_all_pairs_of_pairs(scores: list[float]) -> None:
    cosines = torch.tensor([0.1, 0.7, -0.3, 0.2, 0.65, 0.9], requires_grad=True)
    loss, count = cosent(cosines, torch.tensor(scores), temperature=0.2)
    wanted = _cosent_as_defined(cosines, torch.tensor(scores), 0.2)
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5, abs=1e-6)
    assert int(count) == 6
    assert loss.requires_grad
    if len(set(scores)) > 1:
        (ours,), (theirs,) = (torch.autograd.grad(value, cosines) for value in (loss, wanted))
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_cosent_stays_finite_at_low_temperatures() -> None:
    cosines = torch.tensor([1.0, -1.0], requires_grad=True)
    loss, _ = cosent(cosines, torch.tensor([0.0, 1.0]), temperature=0.001)
    loss.backward()
    assert loss.item() == pytest.approx(4000.0)
    assert cosines.grad is not None
    assert torch.isfinite(cosines.grad).all()


def test_divergence_by_hand_and_by_torch() -> None:
    # Probabilities 3/4, 1/4 and 1/2, 1/2: KL both ways, halved.
    one, other = torch.tensor([[math.log(3), 0.0]]), torch.tensor([[0.0, 0.0]])
    there = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    back = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert float(divergence(one, other)) == pytest.approx((there + back) / 2)
    p, q = torch.randn(5, 7), torch.randn(5, 7)
    kl = [
        functional.kl_div(b.log_softmax(-1), a.log_softmax(-1), log_target=True, reduction="sum")
        for a, b in ((p, q), (q, p))
    ]
    assert float(divergence(p, q)) == pytest.approx(float(sum(kl)) / 2, rel=1e-5)
    assert float(divergence(p, p + 3)) == pytest.approx(0, abs=1e-5)
