"""The picture and the words of the study of importance."""

import math
from collections.abc import Iterator, Mapping

import pandas as pd

from metrics.intervals import Interval
from sweeps.spec.importance import Importance
from sweeps.views.charts import Chart, Charts, Line, Matrix
from sweeps.views.study_words import groups, interval_words

CAPTION = (
    "Filters are removed at once or in rounds of an epoch each, early in training, then the model is trained to its "
    "end. Change of loss and of the gradient's norm: by the last removal by itself. Means over dense seeds with 95 % "
    "intervals."
)


def importance_charts(study: Importance, tables: Mapping[str, pd.DataFrame]) -> Charts:
    """What the picture shows."""
    table, correlations = tables["importance"], tables["importance_correlations"]
    charts: list[Chart | Matrix] = []
    for (temperature, rounds), own in groups(table, "temperature", "rounds"):
        at = f"{study.temperature} {temperature:g}, {rounds} round{'s' * (rounds > 1)}"
        for title, column in (
            ("Test error", "test_error_over_seeds"),
            ("Change of loss", "loss_change"),
            ("Change of gradient norm", "gradient_norm_change"),
        ):
            level = None if column == "test_error_over_seeds" else 0.0
            charts.append(
                Chart(
                    f"{title}\n{at}", "share of filters removed", title.lower(), list(_lines(own, column)), level=level
                )
            )
    for (temperature,), own in groups(correlations, "temperature"):
        square = own.pivot(index="measure", columns="other", values="correlation")
        order = [measure for measure in study.measures if measure in square.index]
        title = f"Rank correlation: {study.temperature} {temperature:g}"
        values = square.reindex(index=order, columns=order).to_numpy(dtype=float).tolist()
        charts.append(Matrix(title, [_short(measure) for measure in order], values))
    return Charts(f"Importance: {study.title}", CAPTION, charts, table)


def importance_words(study: Importance, tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """What there is to say of the results: at each cell the measures, the best first."""
    for (temperature, rounds, load), own in groups(tables["importance"], "temperature", "rounds", "load"):
        known = own[own["test_error_over_seeds"].notna()].sort_values("test_error_over_seeds")
        in_rounds = f"{rounds} round{'s' * (rounds > 1)}"
        where = f"{study.temperature} {temperature:g}, {in_rounds}, {1 - load:.0%} of filters removed"
        if known.empty:
            yield f"{where}: no results yet."
            continue
        said = []
        for row in known.to_dict("records"):
            difference = Interval(row["difference"], row["difference_low"], row["difference_high"])
            is_first = row["measure"] == study.measures[0] or math.isnan(difference.mean)
            beside = "" if is_first else f" [{interval_words(difference)}]"
            said.append(f"{_short(row['measure'])} {row['test_error_over_seeds']:.4f}{beside}")
        yield f"{where}: test error [difference from {_short(study.measures[0])}] {', '.join(said)}."


def _lines(table: pd.DataFrame, column: str) -> Iterator[Line]:
    """A line for each measure, over the share removed."""
    for (measure,), rows in groups(table, "measure"):
        own = rows.sort_values("load", ascending=False)
        values = ([*own[name]] for name in (column, f"{column}_low", f"{column}_high"))
        yield Line(_short(measure), list(1 - own["load"]), *values)


def _short(measure: str) -> str:
    return measure.removeprefix("filter-")
