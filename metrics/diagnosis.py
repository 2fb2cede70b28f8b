"""What is amiss with a training, from the phase of the dense models that it gives, and what to change first."""

from dataclasses import dataclass
from typing import Literal, get_args

from metrics.five_phases import Phase, PhaseThresholds, five_phase

Verdict = Literal["too hot", "too cold", "too small", "fine"]
Change = Literal["colder", "hotter", "larger", "none"]
"""Of the temperature, of the model, or of nothing."""

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True)
class Diagnosed:
    """What models of several seeds say of the training that they have in common.

    Attributes:
        phase: Theirs.
        verdict: Of the training, for the dense models themselves.
        change: What to change first; none if the training is fine.
        loss_decides: Whether the same models on the other side of the loss's threshold would give another verdict.
    """

    phase: Phase
    verdict: Verdict
    change: Change
    loss_decides: bool


def diagnose(train_loss: float, mc: float, cka: float, thresholds: PhaseThresholds) -> Diagnosed | None:
    """Verdict on one training, by the phase of its dense models.

    Phase II, or mode connectivity as far above 0 as barriers are below it: too hot. Phase III: too cold. Phase I: too
    small for the data; what is wrong with the temperature besides, the sign of ``mc`` says (:func:`hotter_or_colder`).
    Phase IV-A: the temperature is fine, a larger model or more data make the models alike. Phase IV-B: fine. Phases and
    what moves models from one to the next are of Yang et al. 2021 (arXiv 2107.11228, section 3), the sign of ``mc`` of
    Zhou et al. 2024 (ModelDiagnosis, ICML); this order of advice is our interpretation of both.

    Args:
        train_loss: As of :func:`metrics.five_phases.five_phase`, as are the others.
        mc: Mode connectivity along a trained curve.
        cka: Similarity; NaN where it is not known.
        thresholds: The borders of the phases.

    Returns:
        None if the loss or ``mc`` is NaN.
    """
    phase = five_phase(train_loss, mc, cka, thresholds)
    if phase is None:
        return None
    verdict, change = _verdict(phase, mc, thresholds)
    other_loss = thresholds.loss if train_loss > thresholds.loss else 2 * thresholds.loss
    other = five_phase(other_loss, mc, cka, thresholds)
    assert other is not None  # as the phase is known
    return Diagnosed(phase, verdict, change, _verdict(other, mc, thresholds)[0] != verdict)


def hotter_or_colder(mc: float) -> Change:
    """What the sign of mode connectivity alone says of the temperature (Zhou et al. 2024).

    Colder if the path is better than its ends, hotter if there is a barrier, none at 0 and NaN.
    """
    return "colder" if mc > 0 else "hotter" if mc < 0 else "none"


def _verdict(phase: Phase, mc: float, thresholds: PhaseThresholds) -> tuple[Verdict, Change]:
    if phase == "II" or mc > -thresholds.mc:
        return "too hot", "colder"
    if phase == "III":
        return "too cold", "hotter"
    if phase == "I":
        return "too small", "larger"
    return "fine", "larger" if phase == "IV-A" else "none"
