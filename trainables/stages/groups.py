"""Groups of trained models that are measured together: the siblings of a point, or dense models of several seeds."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from trainables.measuring.metric import Of
from trainables.stages.dense import DenseStage, dense_model, diverged_epoch
from trainables.stages.dense_run import NOT_FINITE, DenseRun
from trainables.stages.keys import configuration_key
from trainables.stages.point import PointStage, diverged_before
from trainables.stages.siblings import Keep, discard_siblings, diverged_message, keep_only_best, kept_siblings
from trainables.stages.stage import Label, Row, Stage
from trainables.storage.artifacts import ArtifactError

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.storage.folder import Folder


@dataclass(frozen=True)
class Trained:
    """A model to be measured: its state dictionary, and why there are no results of it, if that is so."""

    state: Mapping[str, "Tensor"]
    diverged: str


@dataclass(frozen=True)
class Siblings:
    """Models of a point; their names are the retrain seeds."""

    stage: PointStage

    of: tuple[Of, Of] = ("sibling", "pair")
    """What metrics of one and of two of them are of."""

    def __str__(self) -> str:
        return f"siblings of {self.stage}"

    @property
    def key(self) -> str:
        """That of the point."""
        return self.stage.key

    @property
    def run(self) -> DenseRun:
        """Training of the dense model that they come from."""
        return self.stage.run

    @property
    def names(self) -> tuple[int, ...]:
        """Retrain seeds."""
        return self.stage.seeds

    @property
    def density(self) -> float:
        """That of the point."""
        return self.stage.point.density

    @property
    def label(self) -> Label | None:
        """Where the point lies."""
        return self.stage.label

    def needed(self, names: Collection[int]) -> tuple[Stage, ...]:
        """What gives these models."""
        return (self.stage.with_parts(names),)

    def load(self, folder: "Folder", names: Collection[int]) -> dict[int, Trained]:
        """Read these models; all of them count as diverged if the dense model did."""
        point = self.stage.point
        kept = kept_siblings(folder, self.key)
        if not kept and (diverged := diverged_before(point, folder)):
            return dict.fromkeys(names, Trained({}, diverged))
        if missing := [name for name in names if name not in kept]:
            raise ArtifactError(f"sibling {missing[0]} of {self.stage} is not there")
        return {name: Trained(kept[name]["model"], diverged_message(kept[name])) for name in names}

    def columns(self) -> Row:
        """Of the point."""
        return self.stage.common_columns()

    def release(self, folder: "Folder", keep: Keep) -> None:
        """Keep those of them that are wanted when all is measured."""
        if keep == "best":
            keep_only_best(folder, self.key)
        elif keep == "nothing":
            discard_siblings(folder, self.key)


@dataclass(frozen=True)
class DenseModels:
    """Dense models that differ by their seed alone; their names are the seeds.

    Attributes:
        run: The training of any of them.
        epoch: Epochs done.
        names: The seeds.
    """

    run: DenseRun
    epoch: int
    names: tuple[int, ...]

    of: tuple[Of, Of] = ("dense", "dense_pair")
    """What metrics of one and of two of them are of."""

    label: Label | None = None
    density: float = 1.0

    def __str__(self) -> str:
        return f"dense {self.run.model} after epoch {self.epoch}"

    @property
    def key(self) -> str:
        """Name of all that decides them but their seeds."""
        return f"{configuration_key(replace(self.run, seed=0))}-{self.epoch}"

    def needed(self, names: Collection[int]) -> tuple[Stage, ...]:
        """What gives these models."""
        return tuple(DenseStage(replace(self.run, seed=name), (self.epoch,)) for name in names)

    def load(self, folder: "Folder", names: Collection[int]) -> dict[int, Trained]:
        """Read these models."""
        found = {}
        for name in names:
            kept = dense_model(replace(self.run, seed=name), self.epoch, folder)
            diverged = diverged_epoch(kept)
            found[name] = Trained(kept["model"], NOT_FINITE.format(diverged, "dense training") if diverged else "")
        return found

    def columns(self) -> Row:
        """What decides them."""
        configuration = asdict(replace(self.run, seed=0)) | {"epoch": self.epoch}
        return {
            "data": self.run.data,
            "model": self.run.model,
            "dense_models": self.key,
            "epoch": self.epoch,
            "configuration": json.dumps(configuration, sort_keys=True),
        }

    def release(self, folder: "Folder", keep: Keep) -> None:
        """Keep all of them: other points come from them."""


Group = Siblings | DenseModels
"""Models that are measured together, each by itself and in pairs."""
