"""The picture and the words of the study of prunability."""

import math
from collections.abc import Iterator, Mapping

import pandas as pd

from metrics.intervals import Interval, mean_interval
from sweeps.spec.prunability import Prunability
from sweeps.views.charts import Chart, Charts, Line
from sweeps.views.study_words import groups, interval_words, named_lines

CAPTION = (
    "Prunability is the largest share of {1} that can be removed so that test error rises by no more than {0:g} "
    "above the dense model's, after retraining. Means over dense seeds with 95 % intervals."
    " Hollow circles are bounds: the densities that were tried do not reach further."
)


def prunability_charts(study: Prunability, tables: Mapping[str, pd.DataFrame]) -> Charts:
    """What the picture shows."""
    table = tables["prunability"]
    measured = "intrinsic dimension of the data"
    charts = [
        Chart(f"{study.removed} that must stay".capitalize(), measured, "share", list(_kept(study, table)), True, True),
        Chart("Dense models", measured, "test error", list(_dense(study, table)), True),
    ]
    if table["dimension"].notna().any():
        lines = list(_dimensions(study, table))
        charts.append(Chart("Dimension", "dimension given", "intrinsic dimension, estimated", lines, True, True))
    excess = tables["prunability_errors"]
    for name, own in named_lines(study, excess, []) if excess["temperature"].nunique() > 1 else [("", excess)]:
        title = "Test error above the dense model's" + (f": {name}" if name else "")
        kept = "density" if study.removed == "weights" else f"share of {study.removed} kept"
        charts.append(Chart(title, kept, "difference", list(_excess(own)), True, level=study.tolerance))
    return Charts(
        f"Prunability: {study.title}", CAPTION.format(study.tolerance, study.removed), charts, table, across=2
    )


def prunability_words(study: Prunability, tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """What there is to say of the results."""
    several = len(study.temperatures) > 1
    for row in tables["prunability"].to_dict("records"):
        given = "the data as they are" if math.isnan(row["dimension"]) else f"dimension {row['dimension']:g}"
        at = f", {study.temperature} {row['temperature']:g}" if several else ""
        if row["data_duplicates"] > 0:
            count = f"{row['data_duplicates']:,.0f} images are copies of others"
            yield f"{given}: {count}, and were dropped before the dimension was estimated."
        measured = "not known" if math.isnan(row["data_dimension"]) else f"{row['data_dimension']:.3g}"
        error = row["data_dimension_se"]
        measured += "" if math.isnan(error) else f" ± {error:.2g}"
        share = interval_words(Interval(row["share"], row["share_low"], row["share_high"]))
        bound = "about" if row["bound"].count(" and ") else row["bound"]  # for some dense seeds more, for others less
        said = f"{bound} {share} of the {study.removed} can go".strip()
        said = "nothing is known yet" if math.isnan(row["share"]) else said
        seeds = f"{row['n_dense_seeds']} of {len(study.dense_seeds)} dense seeds"
        left = ", of which results are missing" if row["status"] == "incomplete" else ""
        yield (
            f"{given}{at} (intrinsic dimension {measured}): {said}, with a tolerance of {row['tolerance']:g} above the "
            f"test error of the dense models, {row['dense_test_error']:.3g} ({seeds}{left})."
        )


def _over_dimension(study: Prunability, table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    if table["temperature"].nunique() > 1:
        yield from ((name, own.sort_values("data_dimension")) for name, own in named_lines(study, table, []))
    else:
        yield "mean", table.sort_values("data_dimension")


def _kept(study: Prunability, table: pd.DataFrame) -> Iterator[Line]:
    for name, own in _over_dimension(study, table):
        kept, low, high = (list(1 - own[column]) for column in ("share", "share_high", "share_low"))
        yield Line(name, list(own["data_dimension"]), kept, low, high, list(own["bound"] != ""))


def _dense(study: Prunability, table: pd.DataFrame) -> Iterator[Line]:
    for name, own in _over_dimension(study, table):
        yield Line(name, list(own["data_dimension"]), list(own["dense_test_error"]))


def _dimensions(study: Prunability, table: pd.DataFrame) -> Iterator[Line]:
    for name, own in _over_dimension(study, table):
        middle, error = own["data_dimension"], 1.96 * own["data_dimension_se"]
        yield Line(name, list(own["dimension"]), list(middle), list(middle - error), list(middle + error))


def _excess(table: pd.DataFrame) -> Iterator[Line]:
    """A line for each dimension, over density."""
    for (dimension,), own in groups(table.sort_values("density"), "dimension"):
        means = {density: mean_interval(rows["excess"].tolist()) for (density,), rows in groups(own, "density")}
        name = "data as they are" if math.isnan(dimension) else f"dimension {dimension:g}"
        middles, lows, highs = ([interval[place] for interval in means.values()] for place in range(3))
        yield Line(name, list(means), middles, lows, highs)
