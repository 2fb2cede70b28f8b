"""Imports point one way, and what need not import Ray, torch or torchvision does not."""

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = [file for folder in ("metrics", "trainables", "sweeps") for file in sorted((ROOT / folder).rglob("*.py"))]
ONLY_IN = {
    "ray": {"trainables/trainable.py", "sweeps/runner.py", "sweeps/plan_searcher.py", "sweeps/gauges.py"},
    "plotly": {"sweeps/phase_diagram.py"},
    "torchvision": set(),
}
MAY_IMPORT = {
    "metrics": {"metrics"},
    "trainables": {"metrics", "trainables"},
    "sweeps": {"metrics", "trainables", "sweeps"},
}


def imported(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield node.module


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_one_way(file):
    place = str(file.relative_to(ROOT))
    for module in imported(file):
        package = module.split(".")[0]
        if package in MAY_IMPORT:
            assert package in MAY_IMPORT[place.split("/")[0]], f"{place} imports {module}"
        if package in ONLY_IN:
            assert place in ONLY_IN[package], f"{place} imports {module}"


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("sweeps.grid", {"ray", "torch", "plotly"}),
        ("sweeps.report", {"ray", "torch", "plotly"}),
        ("sweeps.status", {"ray", "torch", "plotly"}),
        ("sweeps.tune_temperature", {"ray", "torch", "plotly"}),
        ("sweeps.select_model", {"ray", "torch", "plotly"}),
        ("sweeps.case_studies.temperature_tuning", {"ray", "torch"}),
        ("sweeps.plan", {"ray", "torch", "pandas"}),
        ("trainables.execution", {"ray"}),
        ("metrics.connectivity", {"ray", "pandas"}),
    ],
)
def test_starting_a_command_does_not_import_what_it_may_not_need(module, without):
    code = f"import sys, {module}; print(*{without!r}.intersection(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""


def test_no_file_of_sweeps_hides_another_module():
    """``python sweeps/grid.py`` puts this folder first on the import path, and Ray's workers do the same."""
    for file in (ROOT / "sweeps").iterdir():
        name = file.stem
        if name.startswith("__") or (file.is_file() and file.suffix != ".py"):
            continue
        assert name not in sys.stdlib_module_names
        assert find_spec(name) is None, f"sweeps/{file.name} hides the module {name}"
