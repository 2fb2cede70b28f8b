"""The Python files of users' own functions, which go with a sweep to workers that do not see the user's folder."""

import os
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from importlib.abc import ExecutionLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

MOST_BYTES = 10_000_000
"""More is nobody's source: the module lies above something large."""

OUR_OWN = ("metrics", "sweeps", "trainables", "__main__")
"""The command itself, and what every node has."""

STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib")).resolve()


class Source(NamedTuple):
    """A module's source.

    Attributes:
        path: Its file on the machine where it was collected; empty for a package without an ``__init__.py``.
        text: Of that file.
        inside: Folders in which its submodules are, if it is a package.
    """

    path: str
    text: str
    inside: list[str] | None


def sources(functions: Iterable[tuple[str, str]]) -> dict[str, Source]:
    """Collect the sources of users' functions: all that was imported from the folders in which their modules lie.

    Installed packages are left out, as nodes have them installed, too. A function from one of them has no sources.

    Args:
        functions: For each what it is for, a noun, and its name; their modules are imported already.

    Returns:
        Sources by the names of the modules.

    Raises:
        ValueError: If they are larger than :data:`MOST_BYTES`; one sentence for the user.
    """
    found: dict[str, Source] = {}
    for purpose, function in sorted(functions):
        name = function.partition(":")[0]
        root = _root(name, sys.modules[name])
        if root is None:
            continue
        found |= {each: source for each, module in list(sys.modules.items()) if (source := _below(root, each, module))}
        size = sum(len(source.text.encode()) for source in found.values())
        if size > MOST_BYTES:
            said = f"the Python files that were imported from {root} have {size / 1e6:.1f} MB"
            most = f"at most {MOST_BYTES / 1e6:g} MB go to the workers"
            raise ValueError(f"{purpose} {function.partition('#')[0]}: {said}, and {most}; give it a folder of its own")
    return found


def install(shipped: Mapping[str, Source]) -> None:
    """From now on import these modules from their sources, whatever this machine has. Nothing is written to it."""
    if shipped and not any(isinstance(finder, _Shipped) and finder.sources == shipped for finder in sys.meta_path):
        sys.meta_path.insert(0, _Shipped(shipped))


def came_along(name: str) -> bool:
    """Whether a module of this name was installed."""
    return any(isinstance(finder, _Shipped) and name in finder.sources for finder in sys.meta_path)


def source_of(module: ModuleType) -> str | None:
    """Text that a module was made from; None for one that is compiled or made on the fly."""
    loader: Any = getattr(module.__spec__, "loader", None)
    try:
        text: str | None = loader.get_source(module.__name__)
    except (AttributeError, ImportError, SyntaxError, ValueError):
        return None
    return text


class _Shipped(MetaPathFinder, ExecutionLoader):
    """Imports modules from memory. Their ``__file__`` is that of the machine where they were collected."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self.sources = sources

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Find a module of ours."""
        if name not in self.sources:
            return None
        source = self.sources[name]
        if source.path:
            return spec_from_file_location(name, source.path, loader=self, submodule_search_locations=source.inside)
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = source.inside
        return spec

    def get_filename(self, name: str) -> str:
        """Give what its ``__file__`` is."""
        return self.sources[name].path

    def get_source(self, name: str) -> str:
        """Give its text."""
        return self.sources[name].text


def _root(name: str, module: ModuleType) -> Path | None:
    """Folder on the import path in which a module was found; None if it is installed, or not made from a file."""
    file = _file(module)
    if file is None or _is_installed(name, file):
        return None
    levels = name.count(".") + hasattr(module, "__path__")
    return file.parents[levels] if levels < len(file.parents) else None


def _below(root: Path, name: str, module: ModuleType) -> Source | None:
    """Source of a module below a folder, unless it is installed; None if it is not, or has no source."""
    file = _file(module)
    if file is None or root not in file.parents or _is_installed(name, file):
        return None
    text, inside = source_of(module), vars(module).get("__path__")
    is_namespace = vars(module).get("__file__") is None
    if text is None and not is_namespace:
        return None
    return Source("" if is_namespace else str(file), text or "", None if inside is None else list(inside))


def _file(module: ModuleType) -> Path | None:
    """File of a module, or folder of a package without one. Not by its attributes: lazy modules import then."""
    known = vars(module) if isinstance(module, ModuleType) else {}
    file = known.get("__file__") or next(iter(known.get("__path__") or ()), None)
    return Path(file) if isinstance(file, str) and os.path.isabs(file) else None


def _is_installed(name: str, file: Path) -> bool:
    """Whether a module is one that nodes have, too."""
    return (
        name.partition(".")[0] in OUR_OWN
        or not {"site-packages", "dist-packages"}.isdisjoint(file.parts)
        or STANDARD_LIBRARY in file.resolve().parents
    )
