"""Models that users trained themselves: files of weights, of which no code is ever executed."""

import hashlib
import pickle
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from trainables.storage import artifacts
from trainables.storage.folder import Folder

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
"""Names under which training scripts commonly put the weights, and this service's own dense models have them."""

PREFIXES = ("module.", "_orig_mod.", "model.")
"""What wrappers of modules put before the names of weights."""


def checkpoint_file(name: str) -> str:
    """Path of a kept checkpoint in the folder of artifacts."""
    return f"checkpoints/{name}.pt"


def keep_checkpoint(path: str, models: Sequence[nn.Module], folder: Folder) -> str:
    """Copy the weights of a user's file, if they are the models', to where every worker finds them.

    Args:
        path: File that ``torch.save`` wrote: a state dictionary, alone or under one of :data:`WRAPPERS`, also one of
            ``DataParallel``.
        models: Plain models, each of an architecture that it is to be used as.
        folder: Of the artifacts.

    Returns:
        Its name there, which tells its content.

    Raises:
        ValueError: If it cannot be read, holds anything but tensors and plain data, or is of another model.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"checkpoint {path} cannot be read: {error.strerror}") from None
    try:
        with warnings.catch_warnings(action="ignore"):
            state = artifacts.decoded(content)
    except Exception as error:  # torch raises many kinds, by what it finds in the file
        said = "is damaged, or no file of torch.save"
        if isinstance(error, pickle.UnpicklingError) and "nsupported" in str(error):
            said = "holds other things than tensors and plain data; save the weights alone"
        raise ValueError(f"checkpoint {path} {said}") from None
    for _ in WRAPPERS:
        inside = [state.get(name) for name in WRAPPERS] if isinstance(state, dict) else []
        state = next((each for each in inside if isinstance(each, dict)), state)
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state.items()
    ):
        raise ValueError(f"checkpoint {path} holds no state dictionary, alone or under {', '.join(WRAPPERS)}")
    wanted = models[0].state_dict()
    for prefix in PREFIXES * len(PREFIXES):
        if all(name.startswith(prefix) for name in state) and not any(name.startswith(prefix) for name in wanted):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    state = {name: tensor.detach() for name, tensor in state.items()}
    for model in models:
        _check_suits(path, state, model)
    name = content_of(state)
    artifacts.save(folder, checkpoint_file(name), state)
    return name


def content_of(state: Mapping[str, Tensor]) -> str:
    """Twenty hexadecimal digits that name the content of a state dictionary on the CPU."""
    digest = hashlib.blake2b(digest_size=10)
    for key, tensor in sorted(state.items()):
        digest.update(f"{key} {tuple(tensor.shape)} {tensor.dtype} ".encode() + tensor.double().numpy().tobytes())
    return digest.hexdigest()


def _check_suits(path: str, state: dict[str, Tensor], model: nn.Module) -> None:
    wanted = {name: _kind(tensor) for name, tensor in model.state_dict().items()}
    found = {name: _kind(tensor) for name, tensor in state.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            there, here = (each.get(name, "not there") for each in (found, wanted))
            raise ValueError(f"checkpoint {path} is of another model: {name} is {there}, in the model it is {here}")
    if not all(bool(torch.isfinite(tensor).all()) for tensor in state.values()):
        raise ValueError(f"checkpoint {path} holds values that are not finite")


def _kind(tensor: Tensor) -> str:
    """Shape and kind of numbers; other precisions of floats will do."""
    usual = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_meta
    common = tensor.dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64)
    kind = "floats" if tensor.is_floating_point() else "whole numbers"
    return f"of shape {tuple(tensor.shape)}, {kind if usual and common else tensor.dtype}"
