"""Parquet, through pyarrow."""

from lightune.data.readers.source import Source
from lightune.data.table import Table
from lightune.errors import DataError


def parse(source: Source) -> Table:
    """Read all columns of a Parquet file as plain Python values.

    Raises:
        DataError: It is not a whole Parquet file, or two columns share a name.
    """
    # pyarrow takes a good part of a second to import, and most users bring text files.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(pa.BufferReader(source.content)).read()
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{source.name} is not a whole Parquet file: {reason}",
            "copy or write it again; other formats: data.format=…",
        ) from None
    twice = {name for name in table.column_names if table.column_names.count(name) > 1}
    if twice:
        raise DataError(f"{source.name} has several columns named {', '.join(sorted(twice))}", "rename all but one")
    return Table(table.to_pylist(), source.name)
