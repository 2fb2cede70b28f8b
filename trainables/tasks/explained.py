"""Trying a user's own code."""

import warnings
from collections.abc import Callable
from typing import Any


def explained(work: Callable[[], Any], said: str) -> Any:
    """Result of some work with a user's model or function. What it warns of is left for the training to say.

    Raises:
        ValueError: For whatever it raises, which can be anything: ``said`` and the reason, in one sentence.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return work()
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).partition("\n")[0].split())
        raise ValueError(f"{said} ({type(error).__name__}: {reason})") from None
