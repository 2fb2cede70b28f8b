"""Pruned models as what is left of them: of a layer at density 0.05 a twentieth of its weights, and a bit for each."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

PackedMasks = dict[str, dict[str, Any]]


def pack_masks(masks: Mapping[str, Tensor]) -> PackedMasks:
    """Masks as plain data: of each its ``shape`` and ``bits``, uint8 with eight entries each, row by row."""
    return {
        name: {"shape": list(mask.shape), "bits": torch.from_numpy(np.packbits(mask.cpu().numpy()))}
        for name, mask in masks.items()
    }


def unpack_masks(packed: PackedMasks) -> dict[str, Tensor]:
    """Undo :func:`pack_masks`: boolean tensors, on the CPU."""
    masks = {}
    for name, mask in packed.items():
        shape = mask["shape"]
        bits = np.unpackbits(mask["bits"].numpy(), count=int(np.prod(shape)))
        masks[name] = torch.from_numpy(bits.astype(bool)).view(shape)
    return masks


def pack_weights(state: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dictionary of a pruned model, on the CPU, with the kept values alone of what is masked, row by row."""
    return {
        name: tensor.cpu()[masks[name].cpu()] if name in masks else tensor.cpu().clone()
        for name, tensor in state.items()
    }


def unpack_weights(packed: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo :func:`pack_weights`, with zeros for what was pruned."""
    state = dict(packed)
    for name, mask in masks.items():
        state[name] = packed[name].new_zeros(mask.shape)
        state[name][mask] = packed[name]
    return state
