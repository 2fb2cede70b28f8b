"""What work tells of itself while it goes on."""

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Progress:
    """How far a stage is.

    Attributes:
        epochs: Epochs done.
        of: Of all that it needs.
        samples: Trained on so far in this attempt, counted for each model.
        test_error: Mean over the models where they were evaluated after this epoch, otherwise NaN.
        rows: Results by table that are complete already, and can be stored now.
    """

    epochs: int
    of: int
    samples: int = 0
    test_error: float = math.nan
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
