"""What decides how a rule prunes, beside its name. Imports no torch."""

from dataclasses import dataclass
from typing import Literal

Scope = Literal["neuron", "layer", "global"]
"""What weights are compared with: those of the same output, of the same layer, or all."""


@dataclass(frozen=True)
class PruningSettings:
    """Settings of the rules that are methods; each takes some of them, and the others have their defaults.

    Attributes:
        scope: What weights are compared with when the smallest are dropped; ``neuron`` is of ``sap`` alone.
        share: Of the remaining weights that a round drops, in (0, 1) (Frankle and Carbin 2019, arXiv 1803.03635).
        rewind_epoch: Epoch of the dense training whose weights a round begins with, masked; None: with its own.
        rounds: Of filter rules, in which filters are dropped; of ``sap``, after which it gives up.
        mask_steps: Training steps after which masks that move are chosen anew (Lin et al. 2020, section 4: 16).
        sap_p: Of the PQ Index (Diao et al. 2023), 0 < p < q; published are 0.5, 1 and 1, 2.
        sap_q: Likewise.
        sap_eta: Mass of the dropped weights relative to the kept ones in the bound, 0 or more (ibid.).
        sap_gamma: Factor on the share that the bound allows to drop, above 0 (ibid.).
        sap_beta: Largest share of the remaining weights that a round drops, in (0, 1) (ibid.).
    """

    scope: Scope = "layer"
    share: float = 0.2
    rewind_epoch: int | None = 0
    rounds: int = 1
    mask_steps: int = 16
    sap_p: float = 0.5
    sap_q: float = 1.0
    sap_eta: float = 0.0
    sap_gamma: float = 1.0
    sap_beta: float = 0.9
