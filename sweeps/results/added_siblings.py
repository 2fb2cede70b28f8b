"""Siblings that searches added to points of a results folder."""

import json
from collections.abc import Iterable
from dataclasses import replace

from sweeps.results.own_files import ADDED_SIBLINGS
from sweeps.spec.errors import UsageError
from trainables.stages import PointStage
from trainables.storage.folder import Folder


def add_siblings(folder: Folder, points: Iterable[PointStage]) -> None:
    """Note the siblings of these points beside those that were noted."""
    for stage in points:
        content = json.dumps(_with_added(folder, stage).seeds).encode()
        if folder.read(_file(stage.point.key)) != content:
            folder.write(_file(stage.point.key), content)


def with_added_siblings(folder: Folder, points: Iterable[PointStage]) -> list[PointStage]:
    """Points with the siblings that were noted.

    Raises:
        UsageError: If a note is damaged.
    """
    added = set(folder.names(ADDED_SIBLINGS, ".json"))
    return [_with_added(folder, stage) if stage.point.key in added else stage for stage in points]


def _with_added(folder: Folder, stage: PointStage) -> PointStage:
    try:
        seeds = {int(seed) for seed in json.loads(folder.read(_file(stage.point.key)) or b"[]")}
        if not all(0 <= seed < 2**32 for seed in seeds):
            raise ValueError
    except (TypeError, ValueError):
        file = folder.at(_file(stage.point.key))
        raise UsageError(f"{file} is damaged; delete it, and run the search again.") from None
    return replace(stage, seeds=tuple(sorted({*stage.seeds, *seeds})))


def _file(key: str) -> str:
    return f"{ADDED_SIBLINGS}/{key}.json"
