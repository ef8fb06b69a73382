"""Reading a user's files: JSON, SQuAD JSON, JSONL, CSV, TSV, Parquet, CoNLL and text, each also gzipped.

Every way in which a file can be wrong ends in one `DataError` that names the file, the line or row, and
what to change. Values stay as the file has them (text, for CSV, TSV and CoNLL); which column means what is
the task's business.
"""

from lightune.data.readers.choose import FORMATS
from lightune.data.readers.choose import read as read

__all__ = ["FORMATS", "read"]
