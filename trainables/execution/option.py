"""What a user says of compiled code. Imports no torch."""

from typing import Literal

Compile = Literal["auto", "on", "off"]
"""Train with compiled code where it pays, wherever it works, or nowhere."""
