"""Models that users trained themselves: files of weights, of which no code is ever executed."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainables import artifacts
from trainables.artifacts import Folder

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Names under which training scripts commonly put the weights."""


def checkpoint_file(name: str) -> str:
    """Path of a kept checkpoint in the folder of artifacts."""
    return f"checkpoints/{name}.pt"


def keep_checkpoint(path: str, model: nn.Module, folder: Folder) -> str:
    """Copy the weights of a user's file, if they are the model's, to where every worker finds them.

    Args:
        path: File that ``torch.save`` wrote: a state dictionary, alone or under one of :data:`WRAPPERS`, also one of
            ``DataParallel``.
        model: A plain model of the architecture.
        folder: Of the artifacts.

    Returns:
        Its name there, which tells its content.

    Raises:
        ValueError: If it cannot be read, holds anything but tensors and plain data, or is of another model.
    """
    file = Path(path)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ValueError(f"checkpoint {path} cannot be read: {error.strerror}") from None
    try:
        state = artifacts.load(Folder(file.parent), file.name)
    except ValueError:
        raise ValueError(
            f"checkpoint {path} holds other things than tensors and plain data; save the weights alone"
        ) from None
    for wrapper in WRAPPERS:
        state = state.get(wrapper, state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ValueError(f"checkpoint {path} holds no state dictionary, alone or under {', '.join(WRAPPERS)}")
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    _check_suits(path, state, model)
    name = hashlib.blake2b(content, digest_size=10).hexdigest()
    artifacts.save(folder, checkpoint_file(name), state)
    return name


def _check_suits(path: str, state: dict[str, Any], model: nn.Module) -> None:
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            there, here = (f"of shape {each[name]}" if name in each else "not there" for each in (found, wanted))
            raise ValueError(f"checkpoint {path} is of another model: {name} is {there}, in the model it is {here}")
    if not all(bool(torch.isfinite(tensor).all()) for tensor in state.values()):
        raise ValueError(f"checkpoint {path} holds values that are not finite")
