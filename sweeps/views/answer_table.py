"""What a search for a temperature answers, as a table on the terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE
from rich.table import Table

from sweeps.case_studies.answer import Answer
from sweeps.views.named_files import print_table
from sweeps.views.panels import figure


def print_answers(answers: Sequence[Answer], temperature_axis: str, load_axis: str) -> None:
    """Print the answers of all loads, and why they are these; BLEU where it is known of one.

    Args:
        answers: Of a search, one for each load.
        temperature_axis: Name of the temperature.
        load_axis: Name of the load.
    """
    values = {"test error": "chosen_error", "regret": "regret", "BLEU": "chosen_bleu"}
    if all(answer.chosen_bleu is None for answer in answers):
        del values["BLEU"]
    shown = Table(box=SIMPLE, collapse_padding=True)
    for heading in (load_axis, f"chosen {temperature_axis}", "regime", "evaluated, in order", "retrained", *values):
        shown.add_column(heading, justify="right", no_wrap=heading != "evaluated, in order")
    for answer in answers:
        way = " ".join(f"{visit.row['temperature']:g}" for visit in answer.visits)
        chosen = "none" if answer.temperature is None else f"{answer.temperature:g}"
        count = "" if answer.retrainings is None else f"{answer.retrainings}"
        known = {heading: getattr(answer, name) for heading, name in values.items()}
        numbers = ("" if value is None else figure(heading.lower(), value) for heading, value in known.items())
        shown.add_row(f"{answer.load:g}", chosen, answer.regime or "–", way, count, *numbers)
    print_table(shown)
    for answer in answers:
        if answer.reason:
            print(f"{load_axis} {answer.load:g}: {answer.temperature:g} is {answer.reason}.")
