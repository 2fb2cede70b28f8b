"""Imports point one way, and what need not import Ray, torch or torchvision does not."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = [file for folder in ("metrics", "trainables", "sweeps") for file in sorted((ROOT / folder).rglob("*.py"))]
PACKAGES = ["metrics", "trainables", "sweeps"]
ROOMS = {
    "metrics": [],
    "trainables": [
        "functions",
        "storage",
        "data",
        "kernels",
        "models",
        "stacks",
        "tasks",
        "pruning",
        "training",
        "execution",
        "methods",
        "measuring",
        "stages",
    ],
    "sweeps": ["spec", "results", "case_studies", "plans", "running", "views"],
}
"""Folders of a package in the order of imports; what lies beside them comes after all of them."""

ONLY_IN = {
    "ray": {
        "trainables/trainable.py",
        "sweeps/running/cluster.py",
        "sweeps/running/gauges.py",
        "sweeps/running/node_checks.py",
        "sweeps/running/plan_searcher.py",
        "sweeps/running/trial_events.py",
        "sweeps/running/tune_run.py",
    },
    "plotly": {"sweeps/views/interactive_charts.py", "sweeps/views/interactive_diagram.py"},
    "matplotlib": {"sweeps/views/printed_charts.py", "sweeps/views/printed_diagram.py"},
    "torchvision": set(),
    "safetensors": {"trainables/models/exported.py"},
    "torch_pruning": {"trainables/pruning/filters.py"},
    "sentencepiece": {"trainables/data/text/vocabulary.py"},
    "sacrebleu": {"metrics/bleu.py"},
    "sklearn": {"metrics/intrinsic_dimension.py", "trainables/data/components.py"},
}


def imported(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def floor(*place):
    """Where a file or a module stands: its package, and its room in that."""
    package, rooms = place[0], ROOMS[place[0]]
    is_in_room = len(place) > 1 and place[1] in rooms
    return PACKAGES.index(package), rooms.index(place[1]) if is_in_room else len(rooms)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_one_way(file):
    place = file.relative_to(ROOT)
    for module in imported(file):
        package = module.split(".")[0]
        if package in PACKAGES:
            assert floor(*module.split(".")) <= floor(*place.parts), f"{place} imports {module}"
        if package in ONLY_IN:
            assert str(place) in ONLY_IN[package], f"{place} imports {module}"


def test_no_imports_go_in_a_circle():
    modules = {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in FILES}
    imports = {
        name: {module for each in imported(file) for module in (each, each.rpartition(".")[0]) if module in modules}
        for name, file in modules.items()
    }
    for name in imports:  # a package's own file stands for what it gives away
        imports[name] -= {name, *(package for package in imports[name] if name.startswith(f"{package}."))}
    list(TopologicalSorter(imports).static_order())


def test_every_folder_is_a_room():
    for package, rooms in ROOMS.items():
        assert {file.parent.name for file in (ROOT / package).glob("*/*.py")} == set(rooms)


def test_only_commands_lie_on_top_of_sweeps():
    for file in (ROOT / "sweeps").glob("[!_]*.py"):
        assert "run_command(main)" in file.read_text(), f"sweeps/{file.name} is no command"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_files_are_short(file):
    assert len(file.read_text().splitlines()) <= 300


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("sweeps.grid", {"ray", "torch", "pandas", "plotly", "matplotlib", "sklearn"}),
        ("sweeps.report", {"ray", "torch", "plotly", "matplotlib"}),
        ("sweeps.status", {"ray", "torch", "plotly", "matplotlib"}),
        ("sweeps.tune_temperature", {"ray", "torch", "plotly", "matplotlib"}),
        ("sweeps.export", {"ray", "torch", "plotly", "matplotlib"}),
        ("sweeps.select_model", {"ray", "torch", "plotly", "matplotlib"}),
        ("sweeps.case_studies.temperature_tuning", {"ray", "torch"}),
        ("sweeps.plans.plan", {"ray", "torch", "pandas"}),
        ("trainables.stages", {"ray", "torch", "pandas", "sklearn"}),
        ("trainables.training.training", {"ray", "sklearn"}),
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
        found = find_spec(name)  # a folder without Python files, such as that of the results, is no module
        assert found is None or found.origin is None, f"sweeps/{file.name} hides the module {name}"
