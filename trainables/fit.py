"""Whether models and data go together: tried before anything trains."""

import torch

from trainables.data import DataSet
from trainables.models import build
from trainables.pruning.magnitude import prunable_weights


def check_fit(name: str, data: DataSet) -> None:
    """Raise ValueError, in one sentence for the user, unless a model can be trained on these images and pruned."""
    height, width, channels = data.train.pixels.shape[1:]
    what = f"model {name.partition('#')[0]}"
    with torch.random.fork_rng(devices=[]):
        model = build(name, channels, data.classes)
        if not prunable_weights(model):
            raise ValueError(f"{what} has no convolution and no hidden linear layer, so nothing of it can be pruned")
        images = torch.randn(4, channels, height, width)
        try:
            shape = tuple(model(images).shape)
        except Exception as error:  # by what the model does with them
            said = f"it cannot take images of {height}x{width} pixels with {channels} channel{'s' * (channels > 1)}"
            reason = str(error).partition("\n")[0]
            raise ValueError(f"{what}: {said} ({type(error).__name__}: {reason})") from None
    if shape != (4, data.classes):
        said = f"for 4 images its output has shape {shape} instead of (4, {data.classes}), a logit for each class"
        raise ValueError(f"{what}: {said}")
