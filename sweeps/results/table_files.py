"""Tables that are drawn, as files: columns with their units and meaning."""

import io
import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


def with_schema(rows: list[dict[str, object]], schema: pa.Schema) -> pd.DataFrame:
    """A table in the columns of a schema, also without any row."""
    return pa.Table.from_pylist(rows, schema).to_pandas(use_threads=False)


def table_files(name: str, table: pd.DataFrame, schema: pa.Schema) -> dict[str, bytes]:
    """Contents of ``NAME.parquet`` and ``NAME.csv``, maps in this as JSON, by these names."""
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(table, schema, preserve_index=False), content)
    plain = table.copy()
    for field in schema:
        if pa.types.is_map(field.type):
            plain[field.name] = [None if own is None else json.dumps(dict(own)) for own in table[field.name]]
    return {f"{name}.parquet": content.getvalue(), f"{name}.csv": plain.to_csv(index=False).encode()}
