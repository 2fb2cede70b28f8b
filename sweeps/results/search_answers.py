"""The answers of searches, kept beside the results, so that other commands can go on from them."""

import json
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

from sweeps.results.own_files import ANSWERS
from trainables.stages import PointStage
from trainables.storage.folder import Folder


def keep_answers(folder: Folder, answers: Mapping[float, float | None], points: Sequence[PointStage]) -> None:
    """Keep the temperatures that a search chose; they replace those of earlier searches among the same points.

    Args:
        folder: Of the results.
        answers: Temperatures by load; None for a load without an answer.
        points: All that it might have evaluated.
    """
    new: list[dict[str, Any]] = []
    for load, temperature in answers.items():
        among = sorted(stage.key for stage in points if stage.label.load == load)
        new.append({"load": load, "temperature": temperature, "among": among})
    replaced = {key for answer in new for key in answer["among"]}
    others = [answer for answer in _read(folder) if replaced.isdisjoint(answer["among"])]
    folder.write(ANSWERS, json.dumps([*others, *new], indent=1).encode())


def kept_answer(folder: Folder, points: Sequence[PointStage]) -> float | None:
    """Temperature that the latest search among these points, all of one load, chose; None if there was none."""
    keys = {stage.key for stage in points}
    temperatures = {stage.label.temperature for stage in points}
    for answer in reversed(_read(folder)):
        if not keys.isdisjoint(answer["among"]):
            return answer["temperature"] if answer["temperature"] in temperatures else None
    return None


def _read(folder: Folder) -> list[dict[str, Any]]:
    """What is kept; nothing if the file is not there, or somebody changed it."""
    try:
        found = json.loads(folder.read(ANSWERS) or b"[]")
    except ValueError:
        return []
    return [answer for answer in found if _is_answer(answer)] if isinstance(found, list) else []


def _is_answer(answer: object) -> bool:
    if not isinstance(answer, dict) or not isinstance(answer.get("among"), list):
        return False
    return isinstance(answer.get("temperature"), (int, float, NoneType)) and all(
        isinstance(key, str) for key in answer["among"]
    )
