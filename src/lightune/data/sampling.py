"""A random part of a table, the same for the same seed everywhere."""

from lightune.data.splits import Keys, cut
from lightune.data.table import Table


def sampled(table: Table, size: float, seed: int, stratify: Keys | None = None) -> Table:
    """Return a random part of a table, in the table's order.

    Args:
        table: The rows.
        size: Their number (whole), or their share of all (below 1).
        seed: Chooses them.
        stratify: A label per row, whose shares are kept as far as whole rows can; every label stays.

    Returns:
        At least one row; all of them where there are no more than were asked for.
    """
    count = size if isinstance(size, int) else max(1, round(size * len(table)))
    if count >= len(table):
        return table
    share = count / len(table)
    return cut(table, {"kept": share, "left": 1 - share}, seed, stratify)["kept"]
