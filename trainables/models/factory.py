"""Models of the user's own: ``package.module:function``, a function that returns a ``torch.nn.Module``.

Such a name is *pinned* when a sweep is made: ``package.module:function#<hash of the module's source>``, so that results
of a changed model are not taken for those of the old one. What that module imports is not followed.
:mod:`trainables.models.sources` takes both to workers on other machines.
"""

import hashlib
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trainables.models.sources import came_along, source_of

if TYPE_CHECKING:
    from torch import nn

GIVEN = "workers are given the Python files beside it alone: put what else it reads and imports on every node"


def is_factory(name: str) -> bool:
    """Whether a model's name is that of a function."""
    return ":" in name


def pin(name: str) -> str:
    """Tie a function to the source it has now.

    Raises:
        ValueError: If there is no such function; one sentence for the user.
    """
    location = name.partition("#")[0]
    return f"{location}#{_hash(location, _function(location))}"


def build(name: str, channels: int, classes: int) -> "nn.Module":
    """Call the pinned function with those of ``channels``, ``classes`` and ``num_classes`` that it takes.

    Raises:
        ValueError: If there is no such function, it has changed, or what it returns is no module; one sentence.
    """
    from torch import nn

    location, _, pinned = name.partition("#")
    function = _function(location)
    if _hash(location, function) != pinned:
        raise ValueError(f"the source of {location} is not what it was when the sweep was made; start it again")
    possible = {"channels": channels, "classes": classes, "num_classes": classes}
    parameters = inspect.signature(function).parameters
    anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    taken = {key: value for key, value in possible.items() if key in parameters}
    if anything and "classes" not in taken:
        taken["num_classes"] = classes  # as torchvision's functions pass on
    try:
        model = function(**taken)
    except (Exception, SystemExit) as error:  # the user's code raises what it likes
        hint = f"; {GIVEN}" if came_along(location.partition(":")[0]) else ""
        raise ValueError(f"{location} failed ({_said(error)}){hint}") from error
    if not isinstance(model, nn.Module):
        raise ValueError(f"{location} returned {type(model).__name__}, which is no torch.nn.Module")
    if any(map(nn.parameter.is_lazy, model.parameters())):
        raise ValueError(f"{location} returned a module with lazy layers; give their sizes")
    return model


def _function(location: str) -> Callable[..., Any]:
    module_name, _, attribute = location.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # where the command was typed
    try:
        if module_name.partition(".")[0] == "torchvision":
            from trainables.data.torchvision_sets import import_torchvision

            module = import_torchvision(module_name)
        else:
            module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # importing runs the user's code
        hint = "; write package.module:function, not a path" if "/" in module_name else ""
        hint = f"; {GIVEN}" if came_along(module_name) else hint
        said = f"module {module_name!r} of model {location} cannot be imported ({_said(error)}){hint}"
        raise ValueError(said) from error
    function = getattr(module, attribute, None)
    if not callable(function):
        found = getattr(module, "__file__", None) or "built in"
        raise ValueError(f"module {module_name!r} ({found}) has no function {attribute!r} to make model {location}")
    return function


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
