"""Importing torchvision."""

import importlib
from types import ModuleType


def import_torchvision(module: str = "torchvision") -> ModuleType:
    """Import torchvision, or a module of it, also where its compiled operators do not fit the installed torch.

    The published wheel for Linux is built for CUDA. Beside a torch without CUDA its operators cannot be loaded, and
    then its import fails because it extends two that do not exist. Neither data sets nor models need them.

    Raises:
        ValueError: If it cannot be imported; one sentence for the user.
    """
    try:
        try:
            return importlib.import_module(module)
        except RuntimeError:  # "operator torchvision::nms does not exist"
            from torch import library

            for operator in ("nms", "qnms"):
                signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                library.define(f"torchvision::{operator}", signature)
            return importlib.import_module(module)
    except (ImportError, RuntimeError) as error:
        raise ValueError(f"{module} cannot be imported ({error}); install a torchvision that fits torch") from None
