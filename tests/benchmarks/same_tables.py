"""Compare the tables of two versions of the code: ``python tests/benchmarks/same_tables.py REVISION``.

The presets' grids are run on this machine, one after the other, with the code of a git revision and with the working
tree, and all values of their tables compared, bit for bit and NaN equal to NaN. ``--folders OLD NEW`` compares results
that are there. Rows are matched by what they are of, not by keys, which another version may form otherwise. Keys and
where and when something was computed are no values. A column that only one of the two has is named, and not compared.
Exit code 0: the same; 1: something differs, or there was nothing to compare.
"""

import argparse
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
PACKAGES = ("metrics", "trainables", "sweeps")
MODEL = ("data", "model", "dense_seed", "epoch", "temperature_axis", "temperature")
POINT = (*MODEL, "load_axis", "load", "pruner")
IDENTITY = {
    "dense": MODEL,
    "runs": (*POINT, "retrain_seed"),
    "pairs": (*POINT, "first_seed", "second_seed"),
    "phase.parquet": ("temperature_axis", "temperature", "load_axis", "load"),
}
"""What a row is of, for each table."""

KEYS = {"point", "dense", "measurement"}
PROVENANCE = {"seconds", "created_at", "host", "commit", "package_version", "libraries", "configuration"}
SHOWN = 5
WHERE_CODE_IS = f"""
import importlib, ray

def files():
    return [importlib.import_module(name).__file__ for name in {PACKAGES!r}]

ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="CRITICAL")
print(*files(), *ray.get(ray.remote(files).remote()), sep="\\n")
"""

Row = dict[str, Any]


def bits(value: Any) -> Any:
    """A value that equals another one's if they have the same type and bits; all NaN are one."""
    if isinstance(value, float):
        return "NaN" if value != value else struct.pack(">d", value)
    if isinstance(value, list | tuple):
        return [bits(each) for each in value]
    return type(value), value


def read(folder: Path) -> dict[str, list[Row]]:
    """All rows of the tables of a results folder; those of ``dense`` with the temperature that their points have."""
    tables = {name: pq.read_table(folder / name).to_pylist() for name in IDENTITY}
    axis = ("temperature_axis", "temperature")
    heat = {(row["dense"], row["epoch"]): {name: row[name] for name in axis} for row in tables["runs"]}
    tables["dense"] = [heat.get((row["dense"], row["epoch"]), {}) | row for row in tables["dense"]]
    return tables


def by_identity(rows: list[Row], names: list[str]) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by what they are of."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row.get(name) for name in names), []).append(row)
    return found


def compare(name: str, old: list[Row], new: list[Row]) -> bool:
    """Print how two tables differ; whether they do not."""
    columns = [set().union(*rows) for rows in (old, new)]
    both = columns[0] & columns[1]
    names = [each for each in IDENTITY[name] if each in both]
    values = sorted(both - KEYS - PROVENANCE - set(names))
    for only, where in ((columns[0] - columns[1], "OLD"), (columns[1] - columns[0], "NEW")):
        if only := sorted(only - PROVENANCE):
            print(f"{name}: not compared, only in {where}: {', '.join(only)}")
    before, after = by_identity(old, names), by_identity(new, names)
    problems = []
    for key in before.keys() | after.keys():
        rows = before.get(key, []), after.get(key, [])
        of = " ".join(f"{name} {value}" for name, value in zip(names, key, strict=True))
        if [len(each) for each in rows] != [1, 1]:
            problems.append(f"{of}: {len(rows[0])} rows and {len(rows[1])}; only one and one can be compared")
            continue
        for value in values:
            one, other = (each[0][value] for each in rows)
            if bits(one) != bits(other):
                problems.append(f"{of}: {value} was {one!r}, is {other!r}")
    problems.sort()
    rows_compared = sum(len(before[key]) == len(after[key]) == 1 for key in before.keys() & after.keys())
    if not rows_compared or not values:
        problems.append("there is nothing to compare")
    differences = f"{len(problems)} differences" if problems else "the same"
    print(f"{name}: {rows_compared} rows, {len(names)} columns matched and {len(values)} compared: {differences}")
    print(*(f"  {problem}" for problem in problems[:SHOWN]), sep="\n", end="\n" if problems else "")
    return not problems


def same(old: Path, new: Path) -> bool:
    """Compare two results folders and print how they differ."""
    before, after = read(old), read(new)
    agreeing = [compare(name, before[name], after[name]) for name in IDENTITY]
    return all(agreeing)


def environment(code: Path, first: Path) -> dict[str, str]:
    """One in which this Python and Ray's workers import the packages of a folder, installed or not.

    Args:
        code: The folder with the packages.
        first: An empty folder. Its ``sitecustomize`` puts the code before what an editable installation puts first.
    """
    first.mkdir()
    (first / "sitecustomize.py").write_text(f"import sys\nsys.path.insert(0, {str(code)!r})\n")
    path = os.pathsep.join(filter(None, [str(first), str(code), os.environ.get("PYTHONPATH")]))
    settings = os.environ | {"PYTHONPATH": path}
    told = subprocess.run(
        [sys.executable, "-c", WHERE_CODE_IS], env=settings, cwd=first, stdout=subprocess.PIPE, text=True, check=True
    )
    files = told.stdout.split("\n")[:-1]
    if len(files) != 2 * len(PACKAGES) or not all(Path(file).is_relative_to(code) for file in files):
        sys.exit(f"Not the code of {code} would run, but that of {', '.join(files)}.")
    return settings


def git(*arguments: str) -> str:
    """What git says."""
    return subprocess.run(["git", *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def run_and_compare(revision: str, presets: list[str]) -> bool:
    """Run the grids with both versions, print how their tables differ; whether they do not."""
    commit = git("-C", str(ROOT), "rev-parse", "--verify", f"{revision}^{{commit}}")
    agree = True
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        git("clone", "--quiet", "--shared", "--no-checkout", str(ROOT), str(folder / "old"))
        git("-C", str(folder / "old"), "checkout", "--quiet", "--detach", commit)
        codes = {folder / "old": commit, ROOT: git("-C", str(ROOT), "rev-parse", "HEAD")}
        settings = [environment(code, folder / f"first-{i}") for i, code in enumerate(codes)]
        for preset in presets:
            results = []
            for code, settings_of_code in zip(codes, settings, strict=True):
                results.append(folder / f"{preset}-{len(results)}")
                what = "the working tree" if code == ROOT else f"the code of {revision}, {commit[:12]}"
                print(f"{preset}: {what}", flush=True)
                grid = [sys.executable, str(code / "sweeps" / "grid.py"), "--preset", preset, "--out", str(results[-1])]
                subprocess.run(grid, env=settings_of_code, cwd=folder, stdout=subprocess.DEVNULL, check=True)
                written = {row["commit"] for rows in read(results[-1]).values() for row in rows if "commit" in row}
                if {each.removesuffix("-dirty") for each in written} != {codes[code]}:
                    sys.exit(f"Rows of the code of {codes[code]} say that it was {', '.join(sorted(written))}.")
            agree &= same(*results)
    return agree


def main() -> None:
    """Compare, and exit with 0 if all is the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", nargs="?", help="what git calls the old code")
    parser.add_argument("--preset", nargs="+", default=["smoke"], help="grids to run; smoke takes seconds")
    parser.add_argument("--folders", nargs=2, type=Path, metavar=("OLD", "NEW"), help="results that are there instead")
    options = parser.parse_args()
    if (options.revision is None) == (options.folders is None):
        parser.error("give either a REVISION or --folders OLD NEW")
    agree = same(*options.folders) if options.folders else run_and_compare(options.revision, options.preset)
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()
