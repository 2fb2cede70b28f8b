"""The five phases of dense models, from how well they fit, how they are connected, and how alike they are."""

import math
from dataclasses import dataclass
from itertools import product
from typing import Literal

from metrics.intervals import Interval

Phase = Literal["I", "II", "III", "IV-A", "IV-B", "IV"]
PHASES: tuple[Phase, ...] = ("I", "II", "III", "IV-A", "IV-B", "IV")
"""IV is IV-A or IV-B where similarity is not known."""


@dataclass(frozen=True)
class PhaseThresholds:
    """Where one phase ends and the next begins.

    Yang et al. 2021 (arXiv 2107.11228) draw the phases and give no numbers, so these are our interpretation. The
    defaults give 177 of the 195 cells of their drawn figure the phase that they have there (ResNet-18 on CIFAR-10, by
    batch size and width). The floor of the loss moves with weight decay and data, so other problems need their own.

    Attributes:
        loss: Up to this mean training loss, in nats, above 0, models fit their data.
        mc: From this mode connectivity on, in units of error and negative, there is no barrier between them.
        cka: From this similarity on, in [0, 1], they are alike.
    """

    loss: float = 0.004
    mc: float = -0.0175
    cka: float = 0.71


def five_phase(train_loss: float, mc: float, cka: float, thresholds: PhaseThresholds) -> Phase | None:
    """Phase of the dense models of one temperature and load (Yang et al. 2021, section 3).

    I: a high training loss and a barrier. II: a high loss and no barrier; mostly the path is better than its ends. III:
    a low loss and a barrier. IV-A: a low loss, no barrier, dissimilar. IV-B: the same, similar.

    Args:
        train_loss: Mean cross entropy of the training samples in evaluation mode, in nats.
        mc: Mode connectivity along a trained curve, in units of error, at most 1; negative for a barrier.
        cka: Similarity of outputs on mixed-up images, in [0, 1]; NaN where it is not known.
        thresholds: The borders; a value that is equal to one is on the better side.

    Returns:
        The phase; None if the loss or ``mc`` is NaN.
    """
    if math.isnan(train_loss) or math.isnan(mc):
        return None
    connected = mc >= thresholds.mc
    if train_loss > thresholds.loss:
        return "II" if connected else "I"
    if not connected:
        return "III"
    if math.isnan(cka):
        return "IV"
    return "IV-B" if cka >= thresholds.cka else "IV-A"


Range = tuple[float, float]
"""Lower and upper end of an interval; NaN for one that is not known."""


def possible_phases(train_loss: Range, mc: Range, cka: Range, thresholds: PhaseThresholds) -> list[Phase]:
    """Phases that these intervals allow, in the order of :data:`PHASES`; none if loss or ``mc`` is not known.

    Args:
        train_loss: Of the training loss.
        mc: Of mode connectivity.
        cka: Of similarity; with two NaN it is not known.
        thresholds: The borders.
    """
    found = {five_phase(*ends, thresholds) for ends in product(train_loss, mc, cka)}
    return [phase for phase in PHASES if phase in found]


def told_phases(
    train_loss: Interval, mc: Interval, cka: Interval, thresholds: PhaseThresholds
) -> tuple[Phase | None, list[Phase]]:
    """The phase of the means, and the others that the intervals allow; a mean whose interval is not known is exact.

    Args:
        train_loss: As of :func:`five_phase`.
        mc: Likewise.
        cka: Likewise.
        thresholds: The borders.
    """
    phase = five_phase(train_loss.mean, mc.mean, cka.mean, thresholds)
    possible = possible_phases(_ends(train_loss), _ends(mc), _ends(cka), thresholds) if phase else []
    return phase, [each for each in possible if each != phase]


def _ends(interval: Interval) -> Range:
    """Ends of an interval, or the mean where they are not known."""
    known = not math.isnan(interval.low) and not math.isnan(interval.high)
    return (interval.low, interval.high) if known else (interval.mean, interval.mean)
