"""What selecting a model gains: ``python tests/benchmarks/model_selection.py RESULTS [RESULTS ...]``.

RESULTS are folders of complete grids, or tables recorded of them (``tests/sweeps/recorded/*.csv``). For every density
the candidates are the models of all temperatures; methods are judged by the test error after pruning above the lowest
(regret), and Algorithms 2 and 2.1 by how much less of it they have than the lowest error of the dense model, with 95 %
intervals over the densities. Dense models are compared by their validation and their test errors, where they are known.
The recorded tables know test errors alone; ``dense_again.csv`` beside them has both of dense models that were trained
again by the same recipes on another machine, so other ones than those that were pruned.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from comparisons import complete_grid, said

from sweeps.case_studies.model_selection import DenseError, select
from sweeps.results.phase import resolved, rows_of
from sweeps.spec.spec import SweepSpec

ERRORS: tuple[DenseError, ...] = ("dense_validation_error", "dense_test_error")
AGAIN = "dense_again.csv"


def tables(path: str) -> Iterator[tuple[str, DenseError, SweepSpec, pd.DataFrame]]:
    """Every error of dense models that is known: what it is of, its name, and a table with it."""
    spec, table = complete_grid(path)
    for error in ERRORS:
        if table[error].notna().all():
            yield error, error, spec, table
    again = Path(path).parent / AGAIN
    if Path(path).is_file() and again.exists():
        dense = pd.read_csv(again)
        dense = dense[dense["grid"] == Path(path).stem].set_index("temperature")
        for error in ERRORS if len(dense) else ():
            yield f"{error}, again", error, spec, table.assign(**{error: table["temperature"].map(dense[error])})


def regrets(path: str) -> Iterator[dict[str, object]]:
    """A row for each error, density and method."""
    for compared, error, spec, table in tables(path):
        threshold = resolved(spec.thresholds, table).lmc
        for load in spec.loads:
            for each in select(rows_of(table[table["load"] == load]), threshold, error):
                place = {"compared by": compared, "grid": Path(path).stem, "density": load}
                yield place | {"method": each.method, "regret": each.regret}


def main() -> None:
    """Print the tables."""
    rows = pd.DataFrame([row for path in sys.argv[1:] for row in regrets(path)])
    for compared, some in rows.groupby("compared by", sort=False):
        wide = some.pivot(index=["grid", "density"], columns="method", values="regret")
        wide = wide[["dense error", "Algorithm 2", "Algorithm 2.1"]]
        means = {str(grid): regret.mean() for grid, regret in wide.groupby("grid", sort=False)} | {"all": wide.mean()}
        print(f"Dense models compared by {compared}.\nMean regret:\n{pd.DataFrame(means).round(4).to_string()}")
        print(wide.groupby("density").mean().T.round(4).to_string())
        print("Less regret than the lowest dense error has:")
        for method in ("Algorithm 2", "Algorithm 2.1"):
            gain = wide["dense error"] - wide[method]
            print(f"  {method}: {said(gain)}")
            for grid, own in gain.groupby("grid", sort=False):
                print(f"    {grid}: {said(own)}")
        print()


if __name__ == "__main__":
    main()
