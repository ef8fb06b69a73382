"""Losses as sums with their counts, so that a mean can be taken over the global batch.

A mean of means depends on how a batch was cut into micro-batches, ranks or packs; a sum of sums over a sum of
counts does not. Every function here returns ``(loss_sum, count)`` and leaves the division to the caller. All of
them work in float32 whatever the dtype of the logits, because a log-softmax in half precision loses digits.
"""

import torch
from torch import Tensor
from torch.nn import functional

IGNORED = -100  # the target of positions that carry no loss, as in torch and transformers


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    ignore_index: int = IGNORED,
    label_smoothing: float = 0.0,
    weight: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the summed cross entropy and the number of targets.

    Args:
        logits: Unnormalised scores, ``(..., classes)``.
        targets: Class indices, ``(...)``.
        ignore_index: Targets with this value carry no loss and are not counted.
        label_smoothing: Share of the target's probability that is spread evenly over all classes, 0 to 1
            (Szegedy et al. 2016).
        weight: Factor of each class's loss, ``(classes,)``. The count stays the number of targets, so weights
            whose mean over the data is 1 leave the size of the loss alone; torch's own mean divides by the
            summed weights instead, which would change with the split into micro-batches.

    Returns:
        The sum in float32 and the count in int64, both 0-d. With every target ignored they are 0 and 0, and
        the sum still has a gradient (of zeros).
    """
    rows = logits.float().flatten(0, -2)
    flat = targets.flatten()
    loss = functional.cross_entropy(
        rows,
        flat,
        weight=None if weight is None else weight.float(),
        ignore_index=ignore_index,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
    return loss, (flat != ignore_index).sum()


def span_cross_entropy(
    start_logits: Tensor,
    end_logits: Tensor,
    starts: Tensor,
    ends: Tensor,
    *,
    mask: Tensor | None = None,
    ignore_index: int = IGNORED,
) -> tuple[Tensor, Tensor]:
    """Return the summed loss of answer spans and the number of features.

    A feature's loss is the mean of the cross entropies of its start and its end over the positions (Devlin et
    al. 2019, section 4.2), and it counts as one target.

    Args:
        start_logits: Score of each position as the answer's first token, ``(batch, length)``.
        end_logits: Score of each position as the answer's last token, ``(batch, length)``.
        starts: Position of the first token, ``(batch,)``.
        ends: Position of the last token, inclusive, ``(batch,)``.
        mask: True where a position can be part of an answer, ``(batch, length)``. Without it padding takes part
            in the softmax, and the loss of a feature depends on what it is batched with.
        ignore_index: A feature whose start or end has this value carries no loss and is not counted.

    Returns:
        The sum in float32 and the count in int64, both 0-d.
    """
    counted = (starts != ignore_index) & (ends != ignore_index)
    total = start_logits.new_zeros((), dtype=torch.float32)
    for logits, positions in ((start_logits, starts), (end_logits, ends)):
        scores = logits.float()
        if mask is not None:
            # The lowest finite number, not -inf: a row without any allowed position must not become NaN.
            scores = scores.masked_fill(~mask.bool(), torch.finfo(torch.float32).min)
        total = total + cross_entropy(scores, positions.where(counted, ignore_index), ignore_index=ignore_index)[0]
    return total / 2, counted.sum()
