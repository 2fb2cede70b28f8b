"""What a stage of work is. Imports no torch."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from trainables.functions import OwnFunction
from trainables.stages.siblings import Keep

if TYPE_CHECKING:
    from trainables.stages.cost import StageCosts
    from trainables.stages.dense_run import DenseRun
    from trainables.stages.machine import Machine
    from trainables.training.progress import Progress

Part = Hashable
"""What names a part of a stage, such as the epoch of a dense model or the seed of a sibling."""

Id = tuple[str, str]
"""Kind and key of a stage: the same work, in whatever parts."""

Row = dict[str, Any]
"""A result, in the names of its table's columns."""

Rows = dict[str, list[Row]]
"""Results by table."""

Execution = Generator["Progress", None, Rows]
"""A stage that is carried out: gives progress now and then, and in the end returns the rows."""


@dataclass(frozen=True)
class Label:
    """Where a point lies in the sweep's own terms; decides nothing.

    Attributes:
        temperature_axis: The hyperparameter that is the temperature.
        temperature: Its value, in its own unit.
        load_axis: What is the load.
        load: Its value.
        variant: Which sweep of a study it is of; empty without.
    """

    temperature_axis: str
    temperature: float
    load_axis: str
    load: float
    variant: str = ""

    def columns(self) -> "Row":
        """Columns of tables that say so; which sweep of a study it is, they do not."""
        own = vars(self)
        return {name: own[name] for name in ("temperature_axis", "temperature", "load_axis", "load")}

    def __str__(self) -> str:
        of = f"{self.variant}, " if self.variant else ""
        return f"{of}{self.temperature_axis} {self.temperature:g}, {self.load_axis} {self.load:g}"


class Stage(ABC):
    """Work that one trial does, in parts of which each has results of its own. Subclasses are frozen dataclasses.

    A kind of stage is one file with such a class, a line in :data:`trainables.stages.KINDS`, and the schema of its
    table in :mod:`sweeps.results.schema`. Plans, queue, trials and store know what is here alone.

    Attributes:
        kind: Name of the kind.
        artifact_folder: Folder of the files that it leaves for the stages that need it; empty if none do.
        gives_parts_early: Whether stages that need some of its parts may begin before its end.
        lost_tables: Where it is noted that stages cannot run since one of this kind failed; those of other tables are
            not noted.
        run: The training whose data and model it uses.
        parts: What is to be done, in order.
        label: Where it lies in the sweep, if it belongs to one place there.
    """

    kind: ClassVar[str]
    artifact_folder: ClassVar[str] = ""
    gives_parts_early: ClassVar[bool] = False
    lost_tables: ClassVar[tuple[str, ...]] = ()
    run: "DenseRun"
    parts: tuple[Any, ...]
    label: Label | None

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself, as it never changes: Ray Tune copies the settings of every trial several times."""
        return self

    @property
    @abstractmethod
    def key(self) -> str:
        """Name of all that decides its results, but for its parts."""

    @abstractmethod
    def with_parts(self, parts: Collection[Any]) -> Self:
        """The same work in these parts, which it brings into order."""

    @property
    @abstractmethod
    def needs(self) -> tuple["Stage", ...]:
        """Stages whose artifacts must be there, in all of the parts named, before this can begin."""

    @property
    def completes_point(self) -> bool:
        """Whether it is the last of a point of the sweep: these are what people count."""
        return False

    @property
    def id(self) -> Id:
        """What is the same for all stages of this work."""
        return self.kind, self.key

    @property
    def functions(self) -> tuple[OwnFunction, ...]:
        """The user's own functions that it needs."""
        return self.run.functions

    @property
    def read_with(self) -> tuple["Stage", ...]:
        """Stages whose results are read together with these: without them these count as missing, too."""
        return ()

    def passes_through(self, part: Any) -> bool:
        """Whether it comes by this part on its way to its own, so that it costs nothing to keep that, too."""
        return False

    # What its results are.

    @classmethod
    @abstractmethod
    def tables(cls) -> tuple[str, ...]:
        """Tables that its results go to."""

    def table_of(self, part: Any) -> str:
        """The one of them that has the row of a part."""
        return self.tables()[0]

    @abstractmethod
    def part_columns(self, part: Any) -> Row:
        """What tells the row of a part from all others of the table; several parts may share a row."""

    @abstractmethod
    def common_columns(self) -> Row:
        """What all of its rows have in common, in columns of the tables."""

    def file(self, row: Row) -> str:
        """Name of the file of the table that a row is in."""
        return self.key

    @classmethod
    @abstractmethod
    def columns_read(cls, table: str) -> Sequence[str]:
        """Columns that :meth:`parts_in_row` needs, besides ``status``."""

    @classmethod
    @abstractmethod
    def parts_in_row(cls, table: str, row: Mapping[str, Any]) -> tuple[str, Iterable[Part]]:
        """Key of the stage that gave a row that is no failure, and the parts whose results it holds."""

    @classmethod
    def parts_in_artifact(cls, file: str) -> tuple[str, Iterable[Part]]:
        """Key of the stage that left an artifact, named by its path in the kind's folder, and the parts it holds."""
        raise NotImplementedError(f"{cls.kind} leaves no artifacts")

    def failed_rows(self, message: str) -> Rows:
        """Rows that say of every part why there is no result."""
        failure: Row = {"status": "failed", "message": message, "seconds": 0.0}
        rows: Rows = {}
        for part in self.parts:
            row, own = self.part_columns(part) | failure, rows.setdefault(self.table_of(part), [])
            if row not in own:
                own.append(row)
        return rows

    # How it is carried out.

    @abstractmethod
    def execute(self, machine: "Machine") -> Execution:
        """Do it, going on from whatever an earlier attempt left in the folder of artifacts."""

    def discard(self, machine: "Machine") -> None:  # noqa: B027  most kinds have nothing to discard
        """Once its results are stored, remove what nobody wants to keep."""

    # What it costs.

    @property
    @abstractmethod
    def work(self) -> float:
        """Roughly, in epochs of training one model."""

    @abstractmethod
    def seconds(self, costs: "StageCosts") -> float:
        """Estimate of the time it takes, from steps measured on this machine."""

    def kept_bytes(self, keep: Keep) -> int:
        """Estimate of the disk that what it leaves takes in the end."""
        return 0

    @property
    def running_bytes(self) -> int:
        """Estimate of the disk that it takes while it runs."""
        return 0


class Lost(NamedTuple):
    """A stage that cannot run.

    Attributes:
        stage: The stage.
        cause: The one that failed, without which it cannot.
        why: What went wrong with that.
    """

    stage: Stage
    cause: Stage
    why: str


def finish(execution: Execution) -> Rows:
    """Run an execution to its end."""
    while True:
        try:
            next(execution)
        except StopIteration as end:
            return end.value
