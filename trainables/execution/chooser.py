"""Choosing how a training is computed."""

import socket
from dataclasses import dataclass, field

import torch

from trainables.data import outline
from trainables.execution import ways
from trainables.execution.here import device_name, one_at_a_time
from trainables.execution.option import Compile
from trainables.execution.timings import Case, Timing, Timings
from trainables.execution.trial import Trial, worth
from trainables.training.recipe import Recipe
from trainables.training.training import Training

SHORT = 120.0
"""Trainings that take fewer seconds than that are computed plainly: trying what is faster would take as long."""


@dataclass
class Chooser:
    """Chooses ways of computing for the stages of a worker.

    Attributes:
        compiling: What the user said of compiled code.
        timings: What is known of the time that steps take.
        notes: Sentences for the user of what was chosen, and why; whoever tells them takes them out.
    """

    compiling: Compile = "off"
    timings: Timings = field(default_factory=Timings)
    notes: list[str] = field(default_factory=list)
    _chosen: dict[tuple[Case, int], str] = field(default_factory=dict)

    def settle(self, training: Training, model: str, data: str, masks: ways.Masks | None = None) -> str:
        """Have a training that did nothing yet compute in the way that suits it, and say which.

        Args:
            training: Of which nothing but that changes.
            model: Name of its architecture.
            data: Name of its data.
            masks: Weights to keep, by parameter name of a plain model.

        Returns:
            Precision and way, as ``bfloat16, compiled``.
        """
        if training.stack.has_kernels:  # nothing that was tried is faster than these
            return f"{training.recipe.precision}, kernels"
        way = self._way(training, model, data, masks or {})
        ways.begin(way, training.stack, masks or {})
        return f"{training.recipe.precision}, {way}"

    def _way(self, training: Training, model: str, data: str, masks: ways.Masks) -> str:
        names = ways.ways_to_try(self.compiling, training.stack.device)
        if not names:
            return ways.PLAIN
        case = case_of(model, data, training.recipe, training.stack.models, training.stack.device)
        kind = case, _steps(training)
        if kind not in self._chosen:
            self._chosen[kind] = self._choice(names, training, case, masks)
        return self._chosen[kind]

    def _choice(self, names: list[str], training: Training, case: Case, masks: ways.Masks) -> str:
        trial = Trial(training, case.model, masks)
        if self.compiling == "on":
            with one_at_a_time():
                is_compiled = trial.works(ways.COMPILED)
            self._note_problems(trial, case)
            return ways.COMPILED if is_compiled else ways.PLAIN
        names = [ways.PLAIN, *names]
        known = self._known(case, names)
        plain = known.get(ways.PLAIN) or trial.timings([ways.PLAIN], turns=1).get(ways.PLAIN)
        if plain is None or _steps(training) * plain.step_ms / 1000 < SHORT:  # None: no room for a second stack
            return ways.PLAIN
        missing = set(names) - known.keys()
        if missing:
            with one_at_a_time():  # the first one compiles for all
                known = self._known(case, names)
                missing = set(names) - known.keys()
                if missing:
                    known = {ways.PLAIN: plain, **trial.timings(names)}
                    self.timings.add(case, known)
        best = worth(known, _steps(training))
        if best != ways.PLAIN and not trial.works(best):
            best = ways.PLAIN
        self._note_problems(trial, case)
        times = known[ways.PLAIN].step_ms / known[best].step_ms
        how = "as torch computes it" if best == ways.PLAIN else f"{best} ({times:.3g} times as fast)"
        when = "measured now" if missing else "known from before"
        self.notes.append(f"{said(case)}: {how}; {when}.")
        return best

    def _known(self, case: Case, names: list[str]) -> dict[str, Timing]:
        """What is known of these ways."""
        found = self.timings.known(case)
        return {name: found[name] for name in names if name in found}

    def _note_problems(self, trial: Trial, case: Case) -> None:
        """Say why ways cannot be used."""
        for name, problem in trial.problems.items():
            why = str(problem) if type(problem).__module__.startswith("trainables") else _in_short(problem)
            where = f"{_short(case.model)} on {socket.gethostname()}"
            self.notes.append(f"{where} is trained as torch computes it, not {name}: {why}.")


def case_of(model: str, data: str, recipe: Recipe, models: int, device: torch.device) -> Case:
    """What decides how long a training step takes in this process."""
    like = outline(data)
    return Case(
        model,
        like.shape,
        like.classes,
        recipe.batch_size,
        models,
        recipe.precision,
        recipe.rho > 0,
        torch.get_num_threads(),
        device_name(device.type),
        torch.__version__,
    )


def said(case: Case) -> str:
    """A case for a person."""
    together = f" of each of {case.models} models" if case.models > 1 else ""
    threads = f"{case.threads} thread{'s' * (case.threads > 1)}"
    return f"{_short(case.model)}, batch {case.batch_size}{together}, {case.precision}, {threads} on {case.device}"


def _steps(training: Training) -> int:
    recipe = training.recipe
    return recipe.iterations or recipe.epochs * training.task.steps_per_epoch(recipe.batch_size)


def _short(model: str) -> str:
    """Name of a model without its content."""
    return model.partition("#")[0]


def _in_short(problem: Exception) -> str:
    """The first line of an exception that may have hundreds."""
    if "InvalidCxxCompiler" in str(problem):
        return "there is no C++ compiler (install g++ or clang++, or name one in CXX)"
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return f"{type(problem).__name__}: {lines[0][:200].rstrip('.')}" if lines else type(problem).__name__
