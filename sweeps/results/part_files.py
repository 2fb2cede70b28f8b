"""A table as many small Parquet files, one for each result, that is fast to read all the same."""

import io
import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sweeps.results.own_files import MERGED
from sweeps.results.schema import check_schema
from sweeps.spec.errors import UsageError
from trainables.storage.folder import FileState, Folder

MERGE_AT = 250
"""Parts that are read one by one before they are merged."""

SETTLED_NS = 2 * 10**9
"""A part is merged when the newest one is so much newer, by the storage's own clock."""

SLICE = 2000
"""Parts that are in memory one by one."""

FEW = 100
"""So many parts are read by their names; for more, the folder is listed."""

_INDEX = b"three_regime_sweeps_parts"

_KEY = re.compile("[0-9a-f]{20}")
"""Begins the name of every part."""

Row = dict[str, Any]


class PartFiles:
    """A table of a results folder: ``<table>/<name>.parquet`` for each result, the parts.

    Copies of many parts are kept merged in ``.merged/<table>``, each with the states of its parts. They only save time:
    a copy counts as long as its part is there and has not changed, so parts can be written and deleted by anyone.

    Args:
        folder: The results folder.
        table: Name of the table.
        schema: Of the table.
    """

    def __init__(self, folder: Folder, table: str, schema: pa.Schema) -> None:
        self._folder, self._table, self._schema = folder, table, schema

    def write(self, name: str, rows: Iterable[Row]) -> None:
        """Write a part, or replace it."""
        content = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(list(rows), self._schema), content)
        self._folder.write(self._file(name), content.getvalue())

    def delete(self, name: str) -> None:
        """Remove a part, if it is there; that is asked first, as a local folder lists all files to delete one."""
        if self._folder.read(self._file(name)) is not None:
            self._folder.delete(self._file(name))

    def rows(self, name: str) -> list[Row]:
        """Rows of a part; none if there is no such part."""
        return self.read(parts=[name]).to_pylist()

    def read(self, columns: Sequence[str] | None = None, parts: Iterable[str] | None = None) -> pa.Table:
        """Read the table, or some of it.

        Args:
            columns: Only these columns.
            parts: Only these parts; names that there are none of are left out.

        Raises:
            UsageError: If a file is not of this schema.
        """
        names = None if parts is None else list(dict.fromkeys(parts))
        if names is not None and len(names) <= FEW:
            return self._joined(list(self._decoded(names, columns).values()), columns)
        states = self._states(names)
        merged = self._merged(states, columns)
        rest = _without(states, merged)
        many = len(_settled(states, rest)) >= MERGE_AT
        found = [copy for _, copy in merged]
        for first in range(0, len(rest), SLICE):
            unmerged = self._decoded(rest[first : first + SLICE], None if many else columns)
            if many:
                self._merge(states, unmerged)
            found.append(self._joined(list(unmerged.values()), columns))
        return self._joined(found, columns)

    def check(self) -> None:
        """Raise UsageError for a file that is not of this service; only those without a key for a name are opened."""
        self._decoded([name for name in self._states(None) if not _KEY.match(name)], [])

    def merge(self) -> None:
        """Merge parts that are not yet, if they are many."""
        states = self._states(None)
        rest = _settled(states, _without(states, self._merged(states, ["status"])))
        if len(rest) >= MERGE_AT:
            for first in range(0, len(rest), SLICE):
                self._merge(states, self._decoded(rest[first : first + SLICE], None))

    def _states(self, names: Iterable[str] | None) -> dict[str, FileState]:
        """States of parts that are there, of all or of these."""
        files = self._folder.files(self._table).items()
        found = {file.removesuffix(".parquet"): state for file, state in files if file.endswith(".parquet")}
        return found if names is None else {name: found[name] for name in names if name in found}

    def _merge(self, states: Mapping[str, FileState], parts: Mapping[str, pa.Table]) -> None:
        """Keep a merged copy of those of these parts that are settled, if they are many and it can be written."""
        settled = {name: parts[name] for name in _settled(states, parts)}
        if len(settled) < MERGE_AT:
            return
        index = [(name, *states[name], len(part)) for name, part in settled.items()]
        merged = self._joined(list(settled.values()), None)
        content = io.BytesIO()
        metadata = (self._schema.metadata or {}) | {_INDEX: json.dumps(index).encode()}
        pq.write_table(merged.cast(self._schema).replace_schema_metadata(metadata), content, compression="zstd")
        try:
            self._folder.write(f"{MERGED}/{self._table}/{uuid.uuid4().hex}.parquet", content.getvalue())
        except OSError:
            return  # a reader need not be allowed to write

    def _merged(
        self, states: Mapping[str, FileState], columns: Sequence[str] | None
    ) -> list[tuple[set[str], pa.Table]]:
        """Merged copies: the parts that each stands for, and their rows. Each part is in one of them at most."""
        names = sorted(self._folder.files(f"{MERGED}/{self._table}"))
        contents = self._folder.read_many([f"{MERGED}/{self._table}/{name}" for name in names])
        found: list[tuple[set[str], pa.Table]] = []
        done: set[str] = set()
        for content in contents:
            try:
                parquet = pq.ParquetFile(io.BytesIO(content or b""))
                check_schema(parquet.schema_arrow, "")
                index = json.loads(parquet.schema_arrow.metadata[_INDEX])
                current = [name not in done and states.get(name) == (size, at) for name, size, at, _ in index]
                table = self._plain(parquet, columns)
                kept = table.filter(np.repeat(current, [rows for *_, rows in index]))
            except (UsageError, pa.ArrowException, OSError, KeyError, TypeError, ValueError):
                continue  # a copy that cannot be used is none
            own = {name for (name, *_), is_current in zip(index, current, strict=True) if is_current}
            done |= own
            found.append((own, kept))
        return found

    def _decoded(self, names: Sequence[str], columns: Sequence[str] | None) -> dict[str, pa.Table]:
        """Read parts one by one; those that are not there are left out."""
        contents = self._folder.read_many([self._file(name) for name in names])
        found: dict[str, pa.Table] = {}
        for name, content in zip(names, contents, strict=True):
            if content is None:
                continue
            try:
                found[name] = self._decode(name, content, columns)
            except (pa.ArrowException, OSError):  # it may have been replaced meanwhile
                found |= self._decoded_again(name, columns)
        return found

    def _decoded_again(self, name: str, columns: Sequence[str] | None) -> dict[str, pa.Table]:
        content = self._folder.read(self._file(name))
        try:
            return {} if content is None else {name: self._decode(name, content, columns)}
        except (pa.ArrowException, OSError):
            said = "is damaged or not a Parquet file; delete it, and run the sweep again"
            raise UsageError(f"{self._folder.at(self._file(name))} {said}.") from None

    def _decode(self, name: str, content: bytes, columns: Sequence[str] | None) -> pa.Table:
        parquet = pq.ParquetFile(io.BytesIO(content))
        check_schema(parquet.schema_arrow, self._folder.at(self._file(name)))
        return self._plain(parquet, columns)

    def _joined(self, tables: Sequence[pa.Table], columns: Sequence[str] | None) -> pa.Table:
        schema = self._schema
        if columns is not None:
            schema = pa.schema([schema.field(name) for name in columns])
        # A column that was added later is null in older files.
        try:
            # Not schema.empty_table(), for which Arrow imports pandas.
            empty = pa.Table.from_arrays([pa.nulls(0, column.type) for column in schema], schema=schema)
            return pa.concat_tables([empty, *tables], promote_options="default").select(schema.names)
        except pa.ArrowException as error:
            said = f"has columns of other types ({str(error).splitlines()[0]}); it is not this service's alone"
            raise UsageError(f"{self._folder.at(self._table)} {said}.") from None

    @staticmethod
    def _plain(parquet: pq.ParquetFile, columns: Sequence[str] | None) -> pa.Table:
        columns = None if columns is None else list(columns)
        return parquet.read(columns, use_threads=False).replace_schema_metadata(None)

    def _file(self, name: str) -> str:
        return f"{self._table}/{name}.parquet"


def _without(states: Mapping[str, FileState], merged: Sequence[tuple[set[str], pa.Table]]) -> list[str]:
    """Parts of which there is no merged copy."""
    copied: set[str] = set().union(*(names for names, _ in merged))
    return [name for name in states if name not in copied]


def _settled(states: Mapping[str, FileState], names: Iterable[str]) -> list[str]:
    """Those of these parts whose states tell their content.

    Object stores tell changes apart by the second: what is as new as the newest part may change without a sign.
    """
    newest = max((at for _, at in states.values()), default=0)
    return [name for name in names if newest - states[name][1] > SETTLED_NS]
