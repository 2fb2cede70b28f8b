"""Where results are kept: a folder of Parquet tables, each result safe in a file of its own the moment it exists."""

import io
import json
import os
import platform
import socket
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sweeps.errors import UsageError
from sweeps.schema import TABLES, check_schema
from sweeps.spec import SweepSpec
from trainables.artifacts import Folder
from trainables.stages import DenseRun, DenseStage, Point, PointStage, Stage, dense_name

SPEC = "sweep.json"
ADDED_SIBLINGS = "added_siblings"

Row = dict[str, Any]


class Store:
    """Results of one or several sweeps in one folder.

    ``runs``, ``pairs`` and ``dense`` are tables, ``artifacts`` the models, ``sweep.json`` the latest sweep. A point is
    stored once its files in ``pairs`` and ``runs`` both exist; they are written in this order.

    Args:
        location: The folder. It is made when the first file is written.

    Raises:
        UsageError: If it is not a local folder.
    """

    def __init__(self, location: str | os.PathLike[str]) -> None:
        if "://" in os.fspath(location):
            raise UsageError(f"{location} is not a local folder, and only those can hold results.")
        self.folder = Folder(location)
        self.artifacts = Folder(self.folder.path / "artifacts")

    def set_spec(self, spec: SweepSpec) -> None:
        """Make this the folder's latest sweep, the one a report shows."""
        self.folder.write(SPEC, spec.to_json().encode())

    def show(self, spec: SweepSpec) -> None:
        """Make this the latest sweep, unless that has all of its siblings: a part of a grid does not hide the grid."""
        try:
            shown = _siblings(self.spec())
        except UsageError:
            shown = set()
        if not shown.issuperset(_siblings(spec)):
            self.set_spec(spec)

    def add_siblings(self, points: Iterable[PointStage]) -> None:
        """Note siblings that a search added: from then on they count in reports of their points, and in replays."""
        for stage in points:
            content = json.dumps(stage.seeds).encode()
            if self.folder.read(_added(stage.point.key)) != content:
                self.folder.write(_added(stage.point.key), content)

    def with_added_siblings(self, points: Iterable[PointStage]) -> list[PointStage]:
        """Points with the siblings that searches added to them."""
        added = set(self.folder.names(ADDED_SIBLINGS, ".json"))
        return [self._with_added(stage) if stage.point.key in added else stage for stage in points]

    def _with_added(self, stage: PointStage) -> PointStage:
        try:
            seeds = {int(seed) for seed in json.loads(self.folder.read(_added(stage.point.key)) or b"[]")}
        except (TypeError, ValueError):
            file = self.folder.path / _added(stage.point.key)
            raise UsageError(f"{file} is damaged; delete it, and run the search again.") from None
        return replace(stage, seeds=tuple(sorted({*stage.seeds, *seeds})))

    def check(self) -> None:
        """Raise UsageError unless the folder is new, empty or holds results."""
        path = self.folder.path
        try:
            names = {name for name in os.listdir(path) if name[0] != "."}
        except FileNotFoundError:
            return
        except NotADirectoryError:
            raise UsageError(f"{path} is a file, or below one; name a folder.") from None
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}; name another folder.") from None
        if names and not names & {SPEC, "runs", "pairs", "dense", "artifacts"}:
            raise UsageError(f"{path} holds something else than a sweep's results; name a new or empty folder.")

    def check_writable(self) -> None:
        """Raise UsageError unless files can be written."""
        try:
            self.folder.write(".writable", bytes(64 * 1024))
            self.folder.delete(".writable")
        except OSError as error:
            raise UsageError(f"{self.folder} cannot be written: {error.strerror}; name another folder.") from None

    def spec(self) -> SweepSpec:
        """Latest sweep of this folder.

        Raises:
            UsageError: If there is none, or another version wrote it.
        """
        file = self.folder.path / SPEC
        try:
            content = self.folder.read(SPEC)
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
        if content is None:
            raise UsageError(f"{self.folder} holds no results of a sweep (there is no {SPEC} in it).")
        try:
            spec = SweepSpec.from_json(content)
            spec.check()
        except (TypeError, ValueError, RecursionError, UsageError) as error:
            said = "is damaged or of another version; running its sweep again writes it anew"
            raise UsageError(f"{file} {said} ({error}).") from None
        return spec

    def record(self, stage: Stage, rows: Mapping[str, Sequence[Row]], device: str) -> None:
        """Store the rows of a stage that was carried out; what was stored of it before is replaced."""
        if isinstance(stage, DenseStage):
            for row in rows["dense"]:
                self._write("dense", dense_part(stage.run, row["epoch"]), [_dense_columns(stage.run) | row], device)
        else:
            for table in ("pairs", "runs"):  # runs last: its file says that the point is stored
                self._write(table, stage.point.key, [_point_columns(stage) | row for row in rows[table]], device)

    def record_test_error(self, run: DenseRun, epoch: int, error: float) -> None:
        """Add the test error of a dense model that was stored before it was measured."""
        rows = [row | {"test_error": error} for row in self._results("dense", dense_part(run, epoch))]
        self._write("dense", dense_part(run, epoch), rows, rows[0]["device"])

    def record_failure(self, stage: Stage, message: str, device: str) -> None:
        """Store that a stage failed; results that are stored stay."""
        failure: Row = {"status": "failed", "message": message, "seconds": 0.0}
        if isinstance(stage, DenseStage):
            failures = [
                failure | {"dense": stage.run.key, "epoch": epoch}
                for epoch in stage.epochs
                if not self._results("dense", dense_part(stage.run, epoch))
            ]
            self.record(stage, {"dense": failures}, device)
            return
        kept_rows = self._results("runs", stage.point.key)
        seeds = set(stage.seeds) - {row["retrain_seed"] for row in kept_rows}
        failed_rows = [
            _point_columns(stage) | failure | {"point": stage.point.key, "retrain_seed": seed} for seed in sorted(seeds)
        ]
        self._write("runs", stage.point.key, kept_rows + failed_rows, device)

    def stored(self) -> dict[str, set[int]]:
        """Retrain seeds that have a result, by key of the point."""
        have: dict[str, set[int]] = {}
        compared = set(self.folder.names("pairs", ".parquet"))
        for row in self.rows("runs", ["point", "retrain_seed", "status"]):
            if row["status"] != "failed" and row["point"] in compared:
                have.setdefault(row["point"], set()).add(row["retrain_seed"])
        return have

    def dense_models(self) -> set[tuple[str, int]]:
        """Dense models that are measured and kept, as pairs of the key of the run and the epoch."""
        measured = {
            (row["dense"], row["epoch"])
            for row in self.rows("dense", ["dense", "epoch", "status"])
            if row["status"] != "failed"
        }
        kept = {run: self.artifacts.names(f"dense/{run}", ".pt") for run in {run for run, _ in measured}}
        return {(run, epoch) for run, epoch in measured if dense_name(epoch) in kept[run]}

    def rows(self, table: str, columns: list[str] | None = None) -> list[Row]:
        """All rows of a table, or these columns of them."""
        return self.table(table, columns).to_pylist()

    def table(self, table: str, columns: list[str] | None = None, parts: Iterable[str] | None = None) -> pa.Table:
        """A table, with the schema of :data:`sweeps.schema.TABLES`.

        Args:
            table: Its name.
            columns: Only these columns.
            parts: Only these of its files; names that there are none of are left out.

        Raises:
            UsageError: If a file is not of this schema.
        """
        names = self.folder.names(table, ".parquet") if parts is None else parts
        tables = [self._read(table, name, columns) for name in names]
        schema = TABLES[table]
        if columns is not None:
            schema = pa.schema([schema.field(name) for name in columns])
        # A column that was added later is null in older files.
        found = [schema.empty_table(), *(part for part in tables if part is not None)]
        try:
            return pa.concat_tables(found, promote_options="default").select(schema.names)
        except pa.ArrowException as error:
            said = f"has columns of other types ({str(error).splitlines()[0]}); it is not this service's alone"
            raise UsageError(f"{self.folder.path / table} {said}.") from None

    def _results(self, table: str, name: str) -> list[Row]:
        """Rows of a file that are results, not failures; none if there is no such file."""
        part = self._read(table, name)
        return [row for row in part.to_pylist() if row["status"] != "failed"] if part else []

    def _read(self, table: str, name: str, columns: list[str] | None = None) -> pa.Table | None:
        file = f"{table}/{name}.parquet"
        content = self.folder.read(file)
        if content is None:
            return None
        try:
            parquet = pq.ParquetFile(io.BytesIO(content))
            check_schema(parquet.schema_arrow, str(self.folder.path / file))
            return parquet.read(columns, use_threads=False).replace_schema_metadata(None)
        except (pa.ArrowException, OSError):
            said = "is damaged or not a Parquet file; delete it, and run the sweep again"
            raise UsageError(f"{self.folder.path / file} {said}.") from None

    def _write(self, table: str, name: str, rows: Iterable[Row], device: str) -> None:
        common = _provenance() | {"device": device, "created_at": datetime.now(UTC)}
        content = io.BytesIO()
        pq.write_table(pa.Table.from_pylist([common | row for row in rows], TABLES[table]), content)
        self.folder.write(f"{table}/{name}.parquet", content.getvalue())


def dense_part(run: DenseRun, epoch: int) -> str:
    """Name of the file of the table ``dense`` that holds a model."""
    return f"{run.key}-{dense_name(epoch)}"


def _siblings(spec: SweepSpec) -> set[tuple[str, int]]:
    return {(stage.point.key, seed) for stage in spec.points() for seed in stage.seeds}


def _added(key: str) -> str:
    return f"{ADDED_SIBLINGS}/{key}.json"


def _dense_columns(run: DenseRun) -> Row:
    return {"data": run.data, "model": run.model, "dense_seed": run.seed, "configuration": _json(run)}


def _point_columns(stage: PointStage) -> Row:
    point, label = stage.point, stage.label
    return _dense_columns(point.dense) | {
        "dense": point.dense.key,
        "epoch": point.epoch,
        "temperature_axis": label.temperature_axis,
        "temperature": label.temperature,
        "load_axis": label.load_axis,
        "load": label.load,
        "pruner": point.pruner,
        "configuration": _json(point),
    }


def _json(config: DenseRun | Point) -> str:
    return json.dumps(asdict(config), sort_keys=True)


@cache
def _provenance() -> Row:
    here = Path(__file__).parent
    try:
        git = ["git", "-C", str(here), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
        commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = ""
    versions = {"python": platform.python_version(), "torch": _version("torch"), "ray": _version("ray")}
    return {
        "host": socket.gethostname(),
        "package_version": _version("three-regime-sweeps"),
        "commit": commit,
        "libraries": " ".join(f"{name} {number}" for name, number in versions.items()),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
