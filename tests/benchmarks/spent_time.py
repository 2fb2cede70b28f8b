"""Where a program's CPU time goes, by subjects: each method counts without those of other subjects that it calls."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any


class SpentTime:
    """CPU seconds and calls of methods by subject, in the thread that calls them; what is in no method is ``rest``."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._local = threading.local()

    def watch(self, subject: str, where: Any, names: Iterable[str]) -> None:
        """Count these functions of a class or module under a subject."""
        for name in names:
            found = where.__dict__[name]
            if isinstance(found, property):
                setattr(where, name, property(self._counted(subject, name, found.fget)))
            else:
                setattr(where, name, self._counted(subject, name, found))

    def _counted(self, subject: str, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def counted(*args: Any, **settings: Any) -> Any:
            outer = getattr(self._local, "inside", None)
            self._local.inside = inner = [0.0]
            started = time.thread_time()
            try:
                return function(*args, **settings)
            finally:
                taken = time.thread_time() - started
                self._local.inside = outer
                self.seconds[subject] += taken - inner[0]
                self.calls[f"{subject}: {name}"] += 1
                if outer is not None:
                    outer[0] += taken

        return counted
