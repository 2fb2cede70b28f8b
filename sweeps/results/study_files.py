"""Tables of studies: columns with their units and meaning, as files."""

import io

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.storage.folder import Folder


def with_schema(rows: list[dict[str, object]], schema: pa.Schema) -> pd.DataFrame:
    """A table in the columns of a schema, also without any row."""
    return pa.Table.from_pylist(rows, schema).to_pandas(use_threads=False)


def write_table(folder: Folder, name: str, table: pd.DataFrame, schema: pa.Schema) -> None:
    """Write a table as ``NAME.parquet`` and ``NAME.csv``; OSError if that cannot be."""
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(table, schema, preserve_index=False), content)
    folder.write(f"{name}.parquet", content.getvalue())
    folder.write(f"{name}.csv", table.to_csv(index=False).encode())
