"""Finding, pinning and calling a user's own function."""

import hashlib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

from trainables.functions.sources import came_along, source_of
from trainables.functions.torchvision_import import import_torchvision

GIVEN = "workers are given the Python files beside it alone: put what else it reads and imports on every node"


class OwnFunction(NamedTuple):
    """A function that something needs.

    Attributes:
        purpose: What it is for, such as ``model``: a noun for sentences.
        name: Its name, pinned or not.
    """

    purpose: str
    name: str


def is_function(name: str) -> bool:
    """Whether a name is that of a function."""
    return ":" in name and not name.startswith("/")  # a pinned path may have one, too


def place(name: str) -> str:
    """A function's name without what pins it: ``package.module:function``."""
    return name.partition("#")[0]


def pin(name: str, purpose: str) -> str:
    """Tie a function to the source it has now.

    Args:
        name: Of the function; where it is pinned already, that is not looked at.
        purpose: What it is for, such as ``model``: a noun for sentences.

    Raises:
        ValueError: If there is no such function; one sentence for the user.
    """
    location = place(name)
    return f"{location}#{_hash(location, find(location, purpose))}"


def pinned(name: str, purpose: str) -> Callable[..., Any]:
    """Import a pinned function.

    Raises:
        ValueError: If there is no such function, or it has changed; one sentence for the user.
    """
    location, _, source = name.partition("#")
    function = find(location, purpose)
    if _hash(location, function) != source:
        raise ValueError(f"the source of {location} is not what it was when the sweep was made; start it again")
    return function


def find(location: str, purpose: str) -> Callable[..., Any]:
    """Import ``package.module:function``, also from the folder where the command was typed.

    Raises:
        ValueError: If there is no such function; one sentence for the user.
    """
    module_name, _, attribute = location.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        module = _imported(module_name)
    except (Exception, SystemExit) as error:  # importing runs the user's code
        hint = "; write package.module:function, not a path" if "/" in module_name else ""
        hint = f"; {GIVEN}" if came_along(module_name) else hint
        said = f"module {module_name!r} of {purpose} {location} cannot be imported ({_said(error)}){hint}"
        raise ValueError(said) from error
    function = getattr(module, attribute, None)
    if not callable(function):
        found = getattr(module, "__file__", None) or "built in"
        raise ValueError(f"module {module_name!r} ({found}) has no function {attribute!r} for {purpose} {location}")
    return function


def _imported(module: str) -> ModuleType:
    """Import a module, also one that is or imports a torchvision whose operators do not fit the installed torch."""
    try:
        return importlib.import_module(module)
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        import_torchvision()
        return importlib.import_module(module)


def taken(function: Callable[..., Any], possible: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the possible arguments whose names a function's parameters have."""
    parameters = inspect.signature(function).parameters
    return {name: value for name, value in possible.items() if name in parameters}


def call(location: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Call a user's function.

    Raises:
        ValueError: If it raises anything; one sentence for the user.
    """
    try:
        return function(*arguments, **named)
    except (Exception, SystemExit) as error:  # the user's code raises what it likes
        hint = f"; {GIVEN}" if came_along(location.partition(":")[0]) else ""
        raise ValueError(f"{location} failed ({_said(error)}){hint}") from error


def _said(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _hash(location: str, function: Callable[..., Any]) -> str:
    """Hash the source of the module named, and of the one the function was defined in if that is another."""
    modules = {sys.modules[location.partition(":")[0]], inspect.getmodule(inspect.unwrap(function))} - {None}
    hashed = hashlib.blake2b(digest_size=6)
    for module in sorted(filter(inspect.ismodule, modules), key=lambda module: module.__name__):
        hashed.update((source_of(module) or "").encode())  # none if it is compiled or made on the fly
    return hashed.hexdigest()
