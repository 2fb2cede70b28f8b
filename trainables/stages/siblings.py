"""What is kept of the siblings of a point: one file for each stack that was retrained. Imports torch when it reads."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from trainables.stages.dense_run import NOT_FINITE

if TYPE_CHECKING:
    from trainables.storage.folder import Folder

Keep = Literal["siblings", "best", "nothing"]
"""Which of a point's retrained models are kept once they are measured: all, that of the lowest error, none."""

Name = TypeVar("Name")

Sibling = dict[str, Any]
"""What is kept of a sibling: seed, seeds of its stack, execution, model, masks, weights of each layer before pruning,
epoch of divergence or 0, losses, errors, the task's scores (in files of older versions none), and seconds."""


def kept_siblings(folder: "Folder", key: str) -> dict[int, Sibling]:
    """All siblings of a point that are kept, by retrain seed."""
    from trainables.pruning.packing import unpack_masks, unpack_weights
    from trainables.storage import artifacts

    found: dict[int, Sibling] = {}
    for file in _sibling_files(folder, key):
        content = artifacts.load(folder, file)
        if content is not None:
            masks = unpack_masks(content["masks"])
            for sibling in content["siblings"]:
                model = unpack_weights(sibling["model"], masks)
                found[sibling["seed"]] = sibling | {"model": model, "masks": masks, "before": content.get("before")}
    return found


def stacks_to_retrain(seeds: Sequence[int], kept: Mapping[int, Sibling]) -> list[list[int]]:
    """Seeds of the siblings that are not kept, by the stacks in which they are to be retrained."""
    return stacks_to_train(seeds, {seed: sibling["stack"] for seed, sibling in kept.items()})


def stacks_to_train(names: Sequence[Name], kept: Mapping[Name, list[Name]]) -> list[list[Name]]:
    """What is not kept, by the stacks in which it is to be trained.

    Where a model of a stack is kept, and says who was in it, the whole stack is trained again, so that all of them
    become what they were: other stacks round differently. The others are one stack.

    Args:
        names: Of what is wanted.
        kept: By the names of what is kept, those of its stack.
    """
    stacks: list[list[Name]] = []
    missing = [name for name in names if name not in kept]
    for stack in kept.values():
        if not set(missing).isdisjoint(stack):
            stacks.append(stack)
            missing = [name for name in missing if name not in stack]
    return [*stacks, missing] if missing else stacks


def keep_only_best(folder: "Folder", key: str) -> None:
    """Remove the siblings of a point but that of the lowest validation error; without held-out images training error.

    Of those that diverged none is kept.
    """
    from trainables.storage import artifacts

    contents = {file: artifacts.needed(folder, file, file) for file in _sibling_files(folder, key)}
    known = [each for content in contents.values() for each in content["siblings"] if not each["diverged"]]
    by = "train_error" if any(math.isnan(each["validation_error"]) for each in known) else "validation_error"
    best = [min(known, key=lambda each: each[by])["seed"]] if known else []
    for file, content in contents.items():
        if best and file == sibling_file(key, best):
            continue
        if only := [sibling for sibling in content["siblings"] if sibling["seed"] in best]:
            artifacts.save(folder, sibling_file(key, best), content | {"siblings": only})
        folder.delete(file)


def discard_siblings(folder: "Folder", key: str) -> None:
    """Remove all siblings of a point."""
    for file in _sibling_files(folder, key):
        folder.delete(file)


def diverged_message(*siblings: Mapping[str, Any]) -> str:
    """Why these siblings have no results; empty if all have."""
    for sibling in siblings:
        if sibling["diverged"]:
            return NOT_FINITE.format(sibling["diverged"], f"retraining with seed {sibling['seed']}")
    return ""


def _sibling_files(folder: "Folder", key: str) -> list[str]:
    return [f"siblings/{key}/{name}.pt" for name in folder.names(f"siblings/{key}", ".pt")]


def sibling_file(key: str, seeds: Sequence[int]) -> str:
    """Path of the file that holds the siblings of these seeds."""
    return f"siblings/{key}/{'-'.join(map(str, seeds))}.pt"
