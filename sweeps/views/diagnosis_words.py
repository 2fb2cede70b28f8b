"""What a diagnosis says to a person: sentences, and a small table of the numbers."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from metrics.diagnosis import Change, Verdict
from metrics.five_phases import Phase
from sweeps.spec.landscape import FEW_STEPS

Answer = Mapping[str, Any]

PHASES: dict[Phase, str] = {
    "I": "a high training loss, and a barrier between the models",
    "II": "a high training loss, and no barrier between the models",
    "III": "a low training loss, and a barrier between the models",
    "IV-A": "a low training loss, no barrier, and models that differ",
    "IV-B": "a low training loss, no barrier, and models that are alike",
    "IV": "a low training loss and no barrier; how alike the models are is not known",
}

VERDICTS: dict[Verdict, str] = {
    "too hot": "This training is too hot",
    "too cold": "This training is too cold",
    "too small": "The model is too small for these data",
    "fine": "The temperature of this training is fine",
}

CHANGES: dict[Change, str] = {
    "colder": "train colder",
    "hotter": "train hotter",
    "larger": "take a wider model",
    "none": "nothing",
}

OTHER_WAYS: dict[Verdict, str] = {"too small": ", or fewer or easier data", "fine": ", or more data"}
"""Beside a wider model."""

ROWS = {
    "train_loss": ("training loss, nats", "loss"),
    "mc": ("mode connectivity, on the curve", "mc"),
    "line_mc": ("the same, on the straight line", None),
    "cka": ("similarity (CKA, mixed-up images)", "cka"),
    "hessian_eigenvalue": ("Hessian: largest eigenvalue", None),
    "hessian_trace": ("Hessian: trace", None),
    "train_error": ("training error", None),
    "validation_error": ("validation error", None),
    "test_error": ("test error", None),
}
"""Of the table: what each number is, and which threshold it has."""


def diagnosis_words(answer: Answer) -> Iterator[str]:
    """What is said of a diagnosis, a sentence or two each; ``answer`` as of :func:`diagnosis_answer`."""
    if answer["phase"] is None:
        yield from _without_phase(answer)
    else:
        if answer["is_chance"]:
            yield "The training loss is no better than guessing: these models learned nothing, so the rest says little."
        sure = "" if not answer["loss_decides"] and len(answer["possible_phases"]) == 1 else ", as far as can be told"
        yield f"Phase {answer['phase']}: {PHASES[answer['phase']]}. {VERDICTS[answer['verdict']]}{sure}."
        yield _first(answer)
        yield from _besides(answer)
        yield from _how_sure(answer)
    if answer["pruned"] is not None:
        yield from _pruned_words(answer)
    curve = answer["curve"]
    yield (
        f"Mode connectivity holds for a curve of {curve['epochs']} epochs with learning rate {curve['lr']:g} and "
        f"batches of {curve['batch_size']}, begun in the middle of the line: a longer search may find a better one."
    )
    if curve["steps"] < FEW_STEPS and answer["phase"] in ("I", "III"):
        epochs = math.ceil(FEW_STEPS * curve["epochs"] / curve["steps"])
        yield (
            f"These were but {curve['steps']} steps, so that the barrier may be that of a short search: see first what "
            f"--curve-epochs {epochs} says."
        )
    yield (
        "Phases are those of Yang et al. 2021 (section 3); thresholds and advice are our interpretation. "
        "docs/diagnosis.md says how often it was right."
    )


def _without_phase(answer: Answer) -> Iterator[str]:
    if answer["n_diverged"]:
        models = len(answer["dense_seeds"] or answer["checkpoints"])
        yield f"No phase: {answer['n_diverged']} of {models} models diverged. Change first: a smaller learning rate."
    else:
        said = f"not all that it needs is there ({answer['status']})"
        yield f"No phase: {said}; the command that began it goes on."


def _first(answer: Answer) -> str:
    if answer["change"] == "none":
        return "Change first: nothing; of all phases Yang et al. 2021 find the lowest errors in IV-B."
    ways = answer["to_change"]
    options = f": {'; or '.join(ways)}" if ways else ""
    others = OTHER_WAYS.get(answer["verdict"], "") if answer["change"] == "larger" else ""
    return f"Change first: {CHANGES[answer['change']]}{options}{others}."


def _besides(answer: Answer) -> Iterator[str]:
    """What the numbers say beside the verdict."""
    mc, sign = answer["numbers"]["mc"]["value"], answer["temperature_by_mc"]
    if answer["phase"] == "I":
        ways = f": {'; or '.join(answer['to_change_temperature'])}" if answer["to_change_temperature"] else ""
        yield f"Of the temperature the sign of mode connectivity ({mc:.4f}) says: {CHANGES[sign]}{ways}."
        yield "If the training loss still falls at the end, it is steps that are lacking: give more --epochs first."
    if answer["verdict"] == "too hot" and answer["phase"] != "II":
        yield f"Mode connectivity ({mc:.4f}) is clearly positive: the path is better than its ends, as of hot training."
    steps, of_curve = answer["steps"], answer["curve"]["steps"]
    if mc > -answer["thresholds"]["mc"] and of_curve > steps:
        yield (
            f"But the curve took {of_curve} steps, and the models {steps}: if these were not trained to the end, the "
            "path is better for that alone, and it is more --epochs that they need first."
        )
    if answer["verdict"] == "fine" and answer["change"] == "larger":
        yield "That is for models that agree with each other; the temperature need not change."


def _how_sure(answer: Answer) -> Iterator[str]:
    numbers, thresholds = answer["numbers"], answer["thresholds"]
    loss, mc = (numbers[name]["value"] for name in ("train_loss", "mc"))
    beyond = mc - thresholds["mc"]
    said = f"the training loss is {loss / thresholds['loss']:.3g} times its threshold, "
    said += f"mode connectivity {abs(beyond):.4f} {'above' if beyond >= 0 else 'below'} its own"
    if numbers["mc"]["low"] is None:
        pairs = "one pair" if answer["n_pairs"] == 1 else f"{answer['n_pairs']} pairs"
        more = "three files" if answer["checkpoints"] else "three --dense-seeds"
        said += f"; for {pairs} of models mode connectivity has no interval, for {more} it does"
    yield f"How sure: {said}."
    others = answer["possible_phases"][1:]
    if others:
        yield f"The intervals that there are also allow phase {' and '.join(others)}."
    if answer["loss_decides"]:
        other = answer["loss_threshold_of"]
        yield (
            f"The threshold of the loss, {thresholds['loss']:g} nats, decides here"
            + (f", and was set for {other}" if other else "")
            + ": how low a loss gets depends on data and weight decay (--loss-threshold)."
        )
    if answer["hits"]:
        right, of, anyhow, cells = answer["hits"]
        yield (
            f"On small grids such advice named the better of two neighbours in {right} of {of} cells; of all cells the "
            f"{answer['change']} neighbour is better in {anyhow} of {cells}."
        )


def _pruned_words(answer: Answer) -> Iterator[str]:
    pruned = answer["pruned"]
    if pruned["regime"] is None:
        yield f"Pruned to {pruned['density']:g}: no regime ({pruned['status']})."
        return
    change = pruned["change"]
    advice = "stay at this temperature" if change == "none" else f"{CHANGES[change]} before pruning"
    ways = f": {'; or '.join(pruned['to_change'])}" if pruned["to_change"] else ""
    yield (
        f"Pruned to {pruned['density']:g}: siblings are in Regime {pruned['regime']} (LMC {pruned['lmc']:.4f}, CKA "
        f"{pruned['cka']:.4f}, test error {pruned['test_error']:.4f}). Zhou et al. 2023 advise: {advice}{ways}."
    )
    dense = answer["temperature_by_mc"] if answer["phase"] == "I" else answer["change"]
    if dense in ("hotter", "colder") and change != dense:
        yield (
            f"These two differ: {CHANGES[dense]} for the model as it is, {advice} for the one that is pruned to "
            f"{pruned['density']:g}."
        )


def numbers_table(answer: Answer) -> Table:
    """The numbers of the dense models, with their intervals and thresholds."""
    shown = Table(box=SIMPLE, collapse_padding=True)
    for heading in ("of the dense models", "mean", "95 % interval", "threshold"):
        shown.add_column(heading, justify="left" if heading.startswith("of") else "right", no_wrap=True)
    for name, (what, threshold) in ROWS.items():
        number = answer["numbers"][name]
        interval = "" if number["low"] is None else f"{_shown(number['low'])} to {_shown(number['high'])}"
        mean = _shown(number["value"])
        if name == "hessian_trace" and answer["hessian_trace_se"] is not None:
            mean += f" ± {_shown(answer['hessian_trace_se'])}"
        shown.add_row(what, mean, interval, "" if threshold is None else f"{answer['thresholds'][threshold]:g}")
    return shown


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
