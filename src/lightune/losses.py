"""Losses as sums with their counts, so that a mean can be taken over the global batch.

A mean of means depends on how a batch was cut into micro-batches, ranks or packs; a sum of sums over a sum of
counts does not. Every function here returns ``(loss_sum, count)`` and leaves the division to the caller. All of
them work in float32 whatever the dtype of the logits, because a log-softmax in half precision loses digits; float64
stays as it is.
"""

import torch
from torch import Tensor
from torch.nn import functional

_SURE = 1e-7  # below it a root's gradient would grow without bound
IGNORED = -100  # the target of positions that carry no loss, as in torch and transformers


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    ignore_index: int = IGNORED,
    label_smoothing: float = 0.0,
    weight: Tensor | None = None,
    focal_gamma: float = 0.0,
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
        focal_gamma: Each target's loss is multiplied by ``(1 - p)`` to this power, p being the probability that the
            model gives the target: what it is sure of counts little (Lin et al. 2017). 0 leaves the loss alone.

    Returns:
        The sum in float32 and the count in int64, both 0-d. With every target ignored they are 0 and 0, and
        the sum still has a gradient (of zeros).
    """
    rows = _single(logits).flatten(0, -2)
    flat = targets.flatten()
    counted = flat != ignore_index
    loss = functional.cross_entropy(
        rows,
        flat,
        weight=None if weight is None else weight.to(rows.dtype),
        ignore_index=ignore_index,
        reduction="none" if focal_gamma else "sum",
        label_smoothing=label_smoothing,
    )
    if focal_gamma:
        true = rows.log_softmax(-1).gather(1, flat.where(counted, 0)[:, None]).squeeze(1)
        loss = (loss * (-true.expm1()).clamp(min=_SURE) ** focal_gamma).sum()
    return loss, counted.sum()


def divergence(one: Tensor, other: Tensor) -> Tensor:
    """Return how far two predictions of the same rows are from each other: ½ (KL(p‖q) + KL(q‖p)), summed over rows.

    Args:
        one: Logits, (rows, classes).
        other: Logits of the same shape.
    """
    p, q = _single(one).log_softmax(-1), _single(other).log_softmax(-1)
    return ((p.exp() - q.exp()) * (p - q)).sum() / 2


def sequence_cross_entropy(
    logits: Tensor, labels: Tensor, *, shift: bool = False, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return the summed cross entropy and the number of targets of each sequence.

    Only the positions that have a target are turned into float32, so memory grows with the targets rather than with
    the length of the batch.

    Args:
        logits: Unnormalised scores, ``(batch, length, vocabulary)``.
        labels: Token ids, `IGNORED` where there is no target, ``(batch, length)``.
        shift: Whether a position predicts the next one's label, as in decoders; else its own.
        label_smoothing: As in `cross_entropy`.

    Returns:
        The sums in float32 and the counts in int64, ``(batch,)`` each.
    """
    if shift:
        logits, labels = logits[:, :-1], labels[:, 1:]
    rows, columns = (labels != IGNORED).nonzero(as_tuple=True)
    loss = functional.cross_entropy(
        _single(logits[rows, columns]), labels[rows, columns], reduction="none", label_smoothing=label_smoothing
    )
    # Put back in their places and summed there: adding them up by row index would take any order on a GPU.
    placed = loss.new_zeros(labels.shape).index_put((rows, columns), loss)
    return placed.sum(1), (labels != IGNORED).sum(1)


def binary_cross_entropy(
    logits: Tensor, targets: Tensor, *, positive_weight: Tensor | None = None, focal_gamma: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return the loss of independent yes-or-no labels, summed over examples, and the number of examples.

    An example's loss is the mean of the binary cross entropies of its labels, as in torch and transformers, and it
    counts as one target.

    Args:
        logits: Unnormalised scores, ``(batch, labels)``.
        targets: 1 where an example has a label, 0 elsewhere, ``(batch, labels)``.
        positive_weight: Factor of the loss where a label is there, ``(labels,)``.
        focal_gamma: As in `cross_entropy`.

    Returns:
        The sum in float32 and the count in int64, both 0-d.
    """
    scores = _single(logits)
    wanted = targets.to(scores.dtype)
    loss = functional.binary_cross_entropy_with_logits(scores, wanted, pos_weight=positive_weight, reduction="none")
    if focal_gamma:
        missed = (scores * (1 - 2 * wanted)).sigmoid()  # 1 - the probability given to what is true
        loss = loss * missed.clamp(min=_SURE) ** focal_gamma
    return loss.mean(-1).sum(), torch.tensor(len(scores), device=scores.device)


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
        scores = _single(logits)
        if mask is not None:
            # The lowest finite number, not -inf: a row without any allowed position must not become NaN.
            scores = scores.masked_fill(~mask.bool(), torch.finfo(torch.float32).min)
        total = total + cross_entropy(scores, positions.where(counted, ignore_index), ignore_index=ignore_index)[0]
    return total / 2, counted.sum()


def contrastive(scores: Tensor, targets: Tensor, *, excluded: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the summed InfoNCE loss and the number of queries (van den Oord et al. 2018).

    A query's loss is the cross entropy of its own candidate against all others, which serve as negatives. How many
    those are depends on the batch, so the mean over queries is not the same for every split into micro-batches.

    Args:
        scores: Similarity of each query with each candidate, divided by the temperature, ``(queries, candidates)``.
        targets: Position of each query's own candidate, ``(queries,)``; `IGNORED` where a query carries no loss.
        excluded: True where a candidate is no negative of a query, such as a copy of its own candidate,
            ``(queries, candidates)``. The own candidate itself always stays.

    Returns:
        The sum in float32 and the count in int64, both 0-d.
    """
    scores = _single(scores)
    if excluded is not None:
        positions = torch.arange(scores.size(1), device=scores.device)
        scores = scores.masked_fill(excluded & (positions != targets[:, None]), torch.finfo(torch.float32).min)
    return cross_entropy(scores, targets)


def squared_error(values: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the summed squared error and the number of examples.

    Args:
        values: Predicted numbers, ``(batch,)``.
        targets: True numbers, ``(batch,)``.

    Returns:
        The sum in float32 and the count in int64, both 0-d.
    """
    values = _single(values)
    loss = functional.mse_loss(values, targets.to(values.dtype), reduction="sum")
    return loss, torch.tensor(len(values), device=values.device)


def cosent(cosines: Tensor, scores: Tensor, *, temperature: float = 0.05) -> tuple[Tensor, Tensor]:
    """Return the CoSENT loss times the number of pairs, and that number (Su 2022).

    The loss of a batch is ``log(1 + Σ exp((cosine_j - cosine_i) / temperature))`` over all i and j of which i has the
    higher score: it grows with every pair that stands in the wrong order, and reads nothing but the order from the
    scores. It is one number for the batch, and counts once for each pair in it.

    Args:
        cosines: Predicted similarity of each pair, ``(pairs,)``.
        scores: True similarity of each pair, in any unit, ``(pairs,)``.
        temperature: The smaller, the more the worst mistakes count.

    Returns:
        The sum in float32 and the count in int64, both 0-d.
    """
    ordered, order = scores.sort()
    values = _single(cosines)[order] / temperature
    lower = torch.searchsorted(ordered, ordered)  # how many pairs have a lower score
    higher = lower > 0
    # Summed from the lowest score up, all pairs of pairs take one pass instead of a matrix.
    mistakes = values.logcumsumexp(0)[lower[higher] - 1] - values[higher]
    loss = torch.cat([mistakes.new_zeros(1), mistakes]).logsumexp(0)
    return loss * len(values), torch.tensor(len(values), device=values.device)


def _single(numbers: Tensor) -> Tensor:
    """Return numbers in single precision, unless they are in double."""
    return numbers if numbers.dtype == torch.float64 else numbers.float()
