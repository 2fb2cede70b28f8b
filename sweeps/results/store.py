"""Where results are kept: a folder of Parquet tables, each result safe in a file of its own the moment it exists."""

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from sweeps.results.added_siblings import add_siblings, with_added_siblings
from sweeps.results.columns import identity
from sweeps.results.own_files import ARTIFACTS, PROGRESS, SIGNS, SPEC, check_free
from sweeps.results.part_files import PartFiles, Row
from sweeps.results.provenance import provenance
from sweeps.results.running_sweeps import RunningSweep, find_running_sweep, living_sweeps, sign_of_life
from sweeps.results.schema import table_schemas
from sweeps.results.stage_rows import Place, drop_measured, has_changed, joined, lost_part, place_of, without_result
from sweeps.results.sweep_file import read_sweep, write_sweep
from sweeps.spec.errors import UsageError
from sweeps.spec.spec import SweepSpec
from trainables.stages import Lost, Part, PointStage, Rows, Stage
from trainables.storage.local_folder import LocalFolder
from trainables.storage.location import open_folder


class Store:
    """Results of one or several sweeps in one folder.

    ``dense``, ``runs``, ``pairs`` are tables, ``artifacts`` the models, ``sweep.json`` the latest sweep.

    Args:
        location: The folder, a path or a URI (:func:`trainables.storage.location.open_folder`). It is made with the
            first file.
        endpoint: URL of a server that speaks S3's protocol, if it is not Amazon's.

    Raises:
        UsageError: If it is no location.
    """

    def __init__(self, location: str | os.PathLike[str], endpoint: str | None = None) -> None:
        try:
            self.folder = open_folder(location, endpoint)
        except ValueError as error:
            raise UsageError(f"{error}.") from None
        self.artifacts = self.folder.subfolder(ARTIFACTS)
        self._notes = self.folder.subfolder("")  # not waited for: the next note comes soon
        self._sign = ""
        schemas = table_schemas()
        self._tables = {table: PartFiles(self.folder, table, schema) for table, schema in schemas.items()}
        self._identity = {table: identity(schema) for table, schema in schemas.items()}

    def set_spec(self, spec: SweepSpec) -> None:
        """Make this the folder's latest sweep, the one a report shows; of a study also the latest of its kind."""
        write_sweep(self.folder, spec)

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
        add_siblings(self.folder, points)

    def with_added_siblings(self, points: Iterable[PointStage]) -> list[PointStage]:
        """Points with the siblings that searches added to them."""
        return with_added_siblings(self.folder, points)

    @contextmanager
    def shared(self, alongside: bool = False) -> Iterator[None]:
        """While this lasts, copies of this store in other processes can tell whether they see the same place.

        From now on storage that does not answer is waited for.

        Args:
            alongside: Begin although another sweep is at work here.

        Raises:
            UsageError: If one is, otherwise.
        """
        signs = self.folder.subfolder(SIGNS)
        with sign_of_life(signs) as own:
            other = None if alongside else find_running_sweep(signs, own, self._say)
            if other is not None:
                ways = "wait for it, stop it, or give another --out; --alongside goes on all the same"
                raise UsageError(f"{self.folder}: another sweep is at work there ({other}); {ways}.")
            self._sign = f"{SIGNS}/{own}"
            self.folder.patient = self.artifacts.patient = True
            yield

    def _say(self, what: str) -> None:
        print(f"{self.folder}: {what}.", flush=True)

    def is_shared(self) -> bool:
        """Whether this process sees what the one of :meth:`shared` writes; OSError if that cannot be told."""
        return self.folder.read(self._sign) is not None

    def set_progress(self, progress: Mapping[str, Any]) -> None:
        """Note how far a running sweep is, and by which sign it can be told whether it lives (:meth:`shared`)."""
        own = {"sign": self._sign.removeprefix(f"{SIGNS}/")} if self._sign else {}
        self._notes.write(PROGRESS, json.dumps({**progress, **own}).encode())

    def progress(self) -> dict[str, Any] | None:
        """What :meth:`set_progress` noted last; None if nothing that can be read."""
        try:
            noted = json.loads(self.folder.read(PROGRESS) or b"null")
        except (ValueError, RecursionError):
            return None
        return noted if isinstance(noted, dict) else None

    def living_sweeps(self, now: datetime) -> dict[str, RunningSweep]:
        """Sweeps that are at work here, or are about to be, by the names of their signs."""
        return living_sweeps(self.folder.subfolder(SIGNS), now)

    def check(self) -> None:
        """Raise UsageError unless the folder is new, empty or holds results, and is no part of another one's."""
        if isinstance(self.folder, LocalFolder):
            check_free(str(self.folder), self.folder.path)
        try:
            names = {name for name in self.folder.contents() if name[0] != "."}
        except NotADirectoryError:
            raise UsageError(f"{self.folder} is a file, or below one; name a folder.") from None
        except ValueError as error:
            raise UsageError(f"{error}.") from None
        except OSError as error:
            raise UsageError(f"{self.folder} cannot be read: {error.strerror}; name another folder.") from None
        if names and not names & {SPEC, PROGRESS, "runs", "pairs", "dense", ARTIFACTS}:
            raise UsageError(f"{self.folder} holds something else than a sweep's results; name a new or empty folder.")

    def check_writable(self) -> None:
        """Raise UsageError unless files can be written."""
        try:
            self.folder.write(".writable", bytes(64 * 1024))
            self.folder.delete(".writable")
        except OSError as error:
            raise UsageError(f"{self.folder} cannot be written: {error.strerror}; name another folder.") from None

    def spec(self) -> SweepSpec:
        """Latest sweep of this folder; raises as :func:`sweeps.results.sweep_file.read_sweep`."""
        return read_sweep(self.folder)

    def record(self, stage: Stage, rows: Rows, device: str) -> None:
        """Store rows of a stage that was carried out; other rows of its files stay, and other columns of these rows."""
        for table, own in rows.items():
            changed = self._update(table, [stage.common_columns() | row for row in own], stage.file, device)
            if isinstance(stage, PointStage) and changed:
                drop_measured(self._tables, self.folder, stage.key, {row["retrain_seed"] for row in changed})
        if any(row["status"] != "failed" for own in rows.values() for row in own):
            for table in stage.lost_tables:
                self._tables[table].delete(lost_part(stage))

    def record_failure(self, stage: Stage, message: str) -> None:
        """Store that a stage failed; results that are stored stay.

        Where a row has results already, of other metrics, the failure is in a file beside them until it is mended.
        """
        for table, rows in stage.failed_rows(message).items():
            rows = [stage.common_columns() | row for row in rows]
            stored = self._results(table, set(map(stage.file, rows)))
            own = [row for row in rows if self._identity_of(table, row) not in stored]
            self._update(table, own, stage.file, "")
            if table in stage.lost_tables:
                self._update(table, [row for row in rows if row not in own], lambda row: lost_part(stage), "")

    def record_lost(self, lost: Sequence[Lost]) -> None:
        """Store that stages cannot run, those of one cause in one file, which goes when that has results.

        Parts that have results stay, and so do stages that are in the file already. Of a stage in a table that its
        cause does not name (:attr:`trainables.stages.Stage.lost_tables`) nothing is stored.
        """
        found: dict[tuple[str, str], list[Row]] = {}
        files: dict[str, set[str]] = {}
        for stage, cause, why in lost:
            for table, rows in stage.failed_rows(why).items():
                if table in cause.lost_tables:
                    common = stage.common_columns()
                    found.setdefault((table, lost_part(cause)), []).extend(common | row for row in rows)
                    files.setdefault(table, set()).update(map(stage.file, rows))
        for (table, file), rows in found.items():
            stored = self._results(table, files[table], failed=True)
            without = [row for row in rows if self._identity_of(table, row) not in stored]
            self._update(table, without, lambda row, file=file: file, "")  # type: ignore[misc]

    def stored(self, kind: type[Stage]) -> dict[str, set[Part]]:
        """Parts of all stages of a kind that have results, by the stages' keys."""
        have: dict[str, set[Part]] = {}
        for table in kind.tables():
            for row in self.rows(table, ["status", *kind.columns_read(table)]):
                if row["status"] != "failed":
                    key, parts = kind.parts_in_row(table, row)
                    have.setdefault(key, set()).update(parts)
        return have

    def failures(self, kind: type[Stage]) -> dict[str, str]:
        """Why stages of a kind failed, by their keys."""
        return {
            kind.parts_in_row(table, row)[0]: row["message"]
            for table in kind.tables()
            for row in self.rows(table, ["status", "message", *kind.columns_read(table)])
            if row["status"] == "failed"
        }

    def artifacts_of(self, kind: type[Stage]) -> dict[str, set[Part]]:
        """Parts of all stages of a kind whose artifacts are there, by the stages' keys."""
        have: dict[str, set[Part]] = {}
        for file in self.artifacts.files(kind.artifact_folder) if kind.artifact_folder else ():
            with suppress(ValueError):  # a file that somebody else put there
                key, parts = kind.parts_in_artifact(file)
                have.setdefault(key, set()).update(parts)
        return have

    def rows(self, table: str, columns: list[str] | None = None) -> list[Row]:
        """All rows of a table, or these columns of them."""
        return self.table(table, columns).to_pylist()

    def table(self, table: str, columns: Sequence[str] | None = None, parts: Iterable[str] | None = None) -> pa.Table:
        """A table, with the schema of :func:`sweeps.results.schema.table_schemas`.

        Args:
            table: Its name.
            columns: Only these columns.
            parts: Only these of its parts; names that there are none of are left out.

        Raises:
            UsageError: If a file is not of this schema.
        """
        return self._tables[table].read(columns, parts)

    def check_tables(self) -> None:
        """Raise UsageError for a file among those of a table that somebody else put there."""
        for parts in self._tables.values():
            parts.check()

    def merge(self) -> None:
        """Merge the tables' parts that are not yet, where they are many: that is faster to read."""
        for parts in self._tables.values():
            parts.merge()

    def _results(self, table: str, files: Iterable[str], failed: bool = False) -> set[Place]:
        """Identities of the rows in these files that are results, or of all."""
        rows = self.table(table, [*self._identity[table], "status"], files).to_pylist()
        return {self._identity_of(table, row) for row in rows if failed or row["status"] != "failed"}

    def _identity_of(self, table: str, row: Row) -> Place:
        return place_of(row, self._identity[table])

    def _update(self, table: str, rows: Iterable[Row], file_of: Callable[[Row], str], device: str) -> list[Row]:
        """Write rows into their files: a failure replaces no result, and what is new of a result is added to it.

        Returns:
            Rows that replaced results with other numbers.
        """
        changed = []
        common = provenance() | {"device": device, "created_at": datetime.now(UTC)}
        files: dict[str, list[Row]] = {}
        for row in rows:
            files.setdefault(file_of(row), []).append(common | row)
        for file, own in files.items():
            known = {self._identity_of(table, row): row for row in self._tables[table].rows(file)}
            for row in own:
                place = self._identity_of(table, row)
                unknown = without_result(place)
                if place != unknown:
                    known.pop(unknown, None)
                elif -math.inf in place and any(without_result(other) == place != other for other in known):
                    continue
                before = known.get(place)
                if before is None or before["status"] == "failed":
                    known[place] = row
                elif row["status"] != "failed":
                    known[place] = joined(before, row)
                    changed += [row] * has_changed(before, row)
            self._tables[table].write(file, [known[name] for name in sorted(known)])
        return changed


def _siblings(spec: SweepSpec) -> set[tuple[str, int]]:
    return {(stage.point.key, seed) for stage in spec.points() for seed in stage.seeds}
