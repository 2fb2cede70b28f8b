"""Trying a user's own code."""

from collections.abc import Callable
from typing import Any


def explained(work: Callable[[], Any], said: str) -> Any:
    """Result of some work with a user's model.

    Raises:
        ValueError: For whatever it raises, which can be anything: ``said`` and the reason, in one sentence.
    """
    try:
        return work()
    except Exception as error:
        reason = " ".join(str(error).partition("\n")[0].split())
        raise ValueError(f"{said} ({type(error).__name__}: {reason})") from None
