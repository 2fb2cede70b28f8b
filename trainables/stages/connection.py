"""Connecting dense models of one recipe in pairs: curves that are trained between them, and how alike they are."""

import json
import math
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from trainables.functions import OwnFunction
from trainables.measuring.settings import MeasurementSettings
from trainables.stages.curves import START, Connected, Pair, State, curve_file, kept_curve, train_curves
from trainables.stages.dense import DenseStage, dense_model, diverged_epoch
from trainables.stages.dense_run import NOT_FINITE, DenseRun
from trainables.stages.keys import configuration_key
from trainables.stages.siblings import Keep, stacks_to_train
from trainables.stages.stage import Execution, Label, Row, Rows, Stage
from trainables.training.optimizers import OPTIMIZERS
from trainables.training.recipe import Recipe

if TYPE_CHECKING:
    from trainables.stages.cost import StageCosts
    from trainables.stages.machine import Machine

TABLE = "connections"
"""The table: a row for each pair, curve and settings."""

_NUMBERS = ("mc", "line_mc", "cka")
_LISTS = ("curve_errors", "curve_losses", "line_errors", "line_losses", "losses")
_NOTHING: Row = dict.fromkeys(_NUMBERS, math.nan) | {name: [] for name in _LISTS}


@dataclass(frozen=True)
class ConnectionStage(Stage):
    """Train a curve between the dense models of each of these pairs, and measure the pairs.

    Attributes:
        runs: Trainings that differ by their seeds alone, ascending, or by these and their checkpoints.
        epoch: Epochs done when the models are taken.
        curve: How a bend is trained; its weight decay is a penalty of the weights on the curve.
        settings: How pairs are measured.
        pairs: Of seeds.
        label: Where the models lie.
    """

    runs: tuple[DenseRun, ...]
    epoch: int
    curve: Recipe
    settings: MeasurementSettings
    pairs: tuple[Pair, ...]
    label: Label | None = None

    kind = "connection"
    lost_tables = ("connections",)

    @classmethod
    def of(
        cls,
        runs: Iterable[DenseRun],
        epoch: int,
        curve: Recipe,
        settings: MeasurementSettings,
        label: Label | None = None,
    ) -> Self:
        """Connect each model with the next one, and the last with the first, as Yang et al. 2021 do.

        Arguments as the attributes.
        """
        ordered = tuple(sorted(runs, key=lambda run: run.seed))
        seeds = [run.seed for run in ordered]
        ring = zip(seeds, [*seeds[1:], seeds[0]], strict=True)
        pairs = sorted({(min(pair), max(pair)) for pair in ring})
        return cls(ordered, epoch, curve, settings, tuple(pairs), label)

    def __str__(self) -> str:
        return f"curves between dense models, {self.label or self.run.model}"

    @property
    def run(self) -> DenseRun:  # type: ignore[override]  # derived
        """The first of the trainings."""
        return self.runs[0]

    @cached_property
    def connected(self) -> Connected:
        """What decides the curves."""
        checkpoints = tuple(run.checkpoint for run in self.runs if run.checkpoint is not None)
        return Connected(replace(self.run, seed=0, checkpoint=None), self.epoch, self.curve, checkpoints)

    @property
    def key(self) -> str:
        """Name of the curves, and of the settings."""
        return f"{self.connected.key}-{configuration_key(self.settings)}"

    @property
    def parts(self) -> tuple[Pair, ...]:  # type: ignore[override]  # derived
        """The pairs."""
        return self.pairs

    def with_parts(self, parts: Collection[Pair]) -> Self:
        """The same models, connected in these pairs."""
        return replace(self, pairs=tuple(sorted(parts)))

    @property
    def completes_point(self) -> bool:
        """Whether it has a place in a sweep, where it is what people count."""
        return self.label is not None

    @property
    def needs(self) -> tuple[Stage, ...]:
        """The dense models."""
        seeds = {seed for pair in self.pairs for seed in pair}
        return tuple(DenseStage(run, (self.epoch,)) for run in self.runs if run.seed in seeds)

    @property
    def functions(self) -> tuple[OwnFunction, ...]:
        """Those of the trainings."""
        return self.run.functions

    @classmethod
    def tables(cls) -> tuple[str, ...]:
        """One row for each pair."""
        return (TABLE,)

    def part_columns(self, part: Pair) -> Row:
        """Curves, pair and settings."""
        first, second = part
        return {
            "curve": self.connected.key,
            "first_seed": first,
            "second_seed": second,
            "measurement": configuration_key(self.settings),
        }

    def common_columns(self) -> Row:
        """What decides the models and the curves, and the settings."""
        label, curve = self.label, self.curve
        configuration = asdict(self.connected) | {"measurement": asdict(self.settings)}
        return {
            "data": self.run.data,
            "model": self.run.model,
            "epoch": self.epoch,
            **({} if label is None else label.columns()),
            "curve_epochs": curve.epochs,
            "curve_lr": curve.lr,
            "curve_batch_size": curve.batch_size,
            "curve_start": START,
            "path_points": self.settings.path_points,
            "batch_norm_batch_size": self.settings.batch_norm_batch_size,
            "cka_images": self.settings.cka_images,
            "configuration": json.dumps(configuration, sort_keys=True),
        }

    def failed_rows(self, message: str) -> Rows:
        """Rows that say of every pair why there is no result."""
        return {TABLE: [_NOTHING | row for row in super().failed_rows(message)[TABLE]]}

    @classmethod
    def columns_read(cls, table: str) -> Sequence[str]:
        """Curves, pair and settings."""
        return ["curve", "first_seed", "second_seed", "measurement"]

    @classmethod
    def parts_in_row(cls, table: str, row: Mapping[str, Any]) -> tuple[str, Iterable[Pair]]:
        """A row is a pair."""
        return f"{row['curve']}-{row['measurement']}", [(row["first_seed"], row["second_seed"])]

    def execute(self, machine: "Machine") -> Execution:
        """Take curves of earlier attempts from their files, train the missing ones together, and measure.

        An attempt that ended between the files of a stack is made up for in the same stack.
        """
        key, (states, diverged) = self.connected.key, self._ends(machine)
        lost = {pair: next((diverged[seed] for seed in pair if seed in diverged), "") for pair in self.pairs}
        rows = [
            self.part_columns(pair) | _NOTHING | {"status": "diverged", "message": lost[pair], "seconds": 0.0}
            for pair in self.pairs
            if lost[pair]
        ]
        pairs = [pair for pair in self.pairs if not lost[pair]]
        curves = {pair: kept for pair in pairs if (kept := kept_curve(key, pair, machine.folder, states))}
        together = {pair: [each for each in kept.get("stack", ()) if each in pairs] for pair, kept in curves.items()}
        for stack in stacks_to_train(pairs, together):
            yield from train_curves(self.connected, stack, states, machine)
            curves |= {pair: kept_curve(key, pair, machine.folder) for pair in stack}
        for pair in [pair for pair in pairs if curves[pair]["diverged"]]:
            pairs.remove(pair)
            message = NOT_FINITE.format(curves[pair]["diverged"], "a curve's training")
            rows.append(self._row(pair, curves[pair], {"status": "diverged", "message": message}))
        if pairs:
            rows += self._measured(pairs, states, curves, machine)
        return {TABLE: rows}

    def _ends(self, machine: "Machine") -> tuple[dict[int, State], dict[int, str]]:
        """State dictionaries of the dense models by seed, and why some are none."""
        states, diverged = {}, {}
        for run in self.runs:
            if any(run.seed in pair for pair in self.pairs):
                kept = dense_model(run, self.epoch, machine.folder)
                states[run.seed] = kept["model"]
                if epoch := diverged_epoch(kept):
                    diverged[run.seed] = NOT_FINITE.format(epoch, "dense training")
        return states, diverged

    def _row(self, pair: Pair, curve: Mapping[str, Any], values: Row) -> Row:
        own = {name: curve[name] for name in ("losses", "execution")}
        seconds = curve["seconds"] + values.get("seconds", 0.0)
        return self.part_columns(pair) | _NOTHING | own | values | {"seconds": seconds}

    def _measured(
        self,
        pairs: Sequence[Pair],
        states: Mapping[int, State],
        curves: Mapping[Pair, Any],
        machine: "Machine",
    ) -> Iterator[Row]:
        """Rows of pairs whose curves are there."""
        from trainables.measuring.connection import connections
        from trainables.stages.machine import task_of

        started = time.perf_counter()
        seeds = sorted({seed for pair in pairs for seed in pair})
        places = [(seeds.index(first), seeds.index(second)) for first, second in pairs]
        task, bends = task_of(self.run, machine), [curves[pair]["bend"] for pair in pairs]
        found = connections(self.run.model, [states[seed] for seed in seeds], places, bends, task, self.settings)
        for pair, values in zip(pairs, found, strict=True):
            message = "outputs not finite on the path" if math.isnan(values["mc"] + values["line_mc"]) else ""
            status = {"status": "diverged" if message else "ok", "message": message}
            yield self._row(pair, curves[pair], values | status | {"seconds": time.perf_counter() - started})
            started = time.perf_counter()

    def discard(self, machine: "Machine") -> None:
        """Remove the curves if nobody wants to keep anything."""
        if machine.keep == "nothing":
            for pair in self.pairs:
                machine.folder.delete(curve_file(self.connected.key, pair))

    @property
    def work(self) -> float:
        """Epochs of training a curve, for each of them."""
        return self.curve.epochs * len(self.pairs)

    def seconds(self, costs: "StageCosts") -> float:
        """Training, and the errors on curves and lines."""
        sizes, pairs = costs.sizes(self.run), len(self.pairs)
        positions = (2 * self.settings.path_points - 2) * pairs
        evaluated = 2 * positions * sizes.measured * costs.evaluation(self.run, 1)
        return costs.training(self.run, self.curve, self.curve.epochs, pairs) + evaluated

    def kept_bytes(self, keep: Keep) -> int:
        """The bends."""
        from trainables.stages.cost import model_bytes

        return 0 if keep == "nothing" else len(self.pairs) * model_bytes(self.run.model, self.run.data).everything

    @property
    def running_bytes(self) -> int:
        """Bends, and what the optimizer keeps of them."""
        from trainables.stages.cost import model_bytes

        size = model_bytes(self.run.model, self.run.data)
        moments = OPTIMIZERS[self.curve.optimizer].moments
        return (size.everything + moments * size.parameters) * len(self.pairs)
