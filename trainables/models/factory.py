"""Models of the user's own: a function (:mod:`trainables.functions`) that returns a ``torch.nn.Module``."""

import inspect
from typing import TYPE_CHECKING

from trainables.functions import call, place, taken
from trainables.functions import pinned as pinned_function

if TYPE_CHECKING:
    from torch import nn

PURPOSE = "model"
"""What such a function is for, in sentences."""


def build(name: str, classes: int, channels: int | None = None) -> "nn.Module":
    """Call the pinned function with those of ``classes`` and ``num_classes``, and ``channels``, that it takes.

    Args:
        name: Of the function, pinned.
        classes: Number of outputs.
        channels: Of images; None if it is to be no model of images.

    Raises:
        ValueError: If there is no such function, it has changed, or what it returns is no module; one sentence.
    """
    from torch import nn

    location, function = place(name), pinned_function(name, PURPOSE)
    arguments = taken(
        function, {"classes": classes, "num_classes": classes} | ({"channels": channels} if channels else {})
    )
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters) and "classes" not in arguments:
        arguments["num_classes"] = classes  # as torchvision's functions pass on
    model = call(location, function, **arguments)
    if not isinstance(model, nn.Module):
        raise ValueError(f"{location} returned {type(model).__name__}, which is no torch.nn.Module")
    if any(map(nn.parameter.is_lazy, model.parameters())):
        raise ValueError(f"{location} returned a module with lazy layers; give their sizes")
    return model
