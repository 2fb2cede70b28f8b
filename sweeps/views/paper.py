"""How large a picture for a paper is."""

from collections.abc import Mapping
from dataclasses import dataclass

from sweeps.spec.errors import UsageError

WIDTHS: Mapping[str, float] = {"1": 3.25, "2": 6.75}
"""Inches of so many columns of a paper; those of ICML's style."""

SMALLEST_FONT, LARGEST_FONT = 4, 12


@dataclass(frozen=True)
class Paper:
    """How large a picture for a paper is.

    Attributes:
        columns: How many of the paper's columns it is wide, of :data:`WIDTHS`.
        font_size: Of titles, in points; numbers on axes are a little smaller.

    Raises:
        UsageError: If no text is written in such a size.
    """

    columns: str = "2"
    font_size: float = 7.0

    def __post_init__(self) -> None:
        if not SMALLEST_FONT <= self.font_size <= LARGEST_FONT:
            said = f"it is {SMALLEST_FONT} to {LARGEST_FONT} points"
            raise UsageError(f"--font-size {self.font_size:g}: {said}.")

    @property
    def width(self) -> float:
        """Inches."""
        return WIDTHS[self.columns]
