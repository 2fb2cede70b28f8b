"""All metrics. Imports no torch."""

from trainables.measuring.cka import OutputSimilarity
from trainables.measuring.lmc import LinearModeConnectivity
from trainables.measuring.metric import Metric, Of

METRICS: dict[str, Metric] = {metric.name: metric for metric in (LinearModeConnectivity(), OutputSimilarity())}
"""By name; the one place that knows them. Errors are not here: training itself takes them, on its way."""

TABLES: dict[Of, str] = {"sibling": "run_metrics", "pair": "pairs"}
"""Tables of measured values, a row for each subject."""


def metrics_of(table: str) -> list[Metric]:
    """Metrics whose values are in a table."""
    return [metric for metric in METRICS.values() if TABLES[metric.of] == table]
