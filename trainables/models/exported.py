"""Trained models as files for other programs: which formats there are. Imports torch when it writes."""

import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from trainables.data import Outline, TextOutline
from trainables.data.text.vocabulary import END
from trainables.models import build, build_translator

if TYPE_CHECKING:
    from torch import Tensor, nn

    State = Mapping[str, Tensor]

IMAGES, SENTENCES, OUTPUT = "images", ("source", "target"), "logits"
"""Names of what an ONNX model takes, and of what it gives: images are float32 of shape (batch, channels, h, w) and
normalised; sentences are tokens, int64 of shape (batch, length), two tensors, whose lengths may differ."""

EXAMPLES = 2
"""Images or sentences that a model is followed with; with one, torch would take that for the only number there is."""

LENGTHS = 7, 5
"""Of these sentences: no two axes alike, so that none is taken for another."""

MOST_SAID = 200
"""Characters of another program's error in a sentence."""


@dataclass(frozen=True)
class Exported:
    """A trained model.

    Attributes:
        name: Of the architecture.
        state: State dictionary of the plain model, on the CPU, with zeros for what was pruned. A model that was made
            smaller has smaller tensors than the architecture of this name.
        sizes: Of the images, or of the text; None where that is not known, which a format that needs the model does
            not take.
        facts: What a file may say of it, as far as the format has a place for that.
    """

    name: str
    state: "State"
    sizes: Outline | TextOutline | None
    facts: Mapping[str, str]


@dataclass(frozen=True)
class Format:
    """A format of files.

    Attributes:
        what: What is in a file, for a person.
        ends: Ends of the names of such files.
        packages: That it needs beside torch, of the extra ``export``.
        encode: Makes the content of a file; ValueError, in one sentence for the user, if it cannot.
        needs_model: Whether the model itself is built, for which a user's own is imported.
    """

    what: str
    ends: tuple[str, ...]
    packages: tuple[str, ...]
    encode: Callable[[Exported], bytes]
    needs_model: bool = False

    def __str__(self) -> str:
        return self.what

    @property
    def lacking(self) -> list[str]:
        """Packages that are not installed."""
        return [package for package in self.packages if find_spec(package) is None]


def plain_model(exported: Exported) -> "nn.Module":
    """The model with its weights, in evaluation mode.

    Raises:
        ValueError: If the architecture is not there, or another one; one sentence for the user.
    """
    from trainables.models.smaller import resized

    sizes = exported.sizes
    assert sizes is not None
    if isinstance(sizes, TextOutline):
        model = build_translator(exported.name, sizes.classes)
    else:
        model = build(exported.name, sizes.channels, sizes.classes, (sizes.height, sizes.width))
    try:
        model = resized(model, exported.state)
        model.load_state_dict(dict(exported.state))
    except (RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise ValueError(f"the weights do not fit the model {exported.name} ({said})") from None
    return model.eval()


def _tidy(state: "State") -> dict[str, "Tensor"]:
    """A plain dictionary of tensors that are contiguous and share no memory."""
    import torch

    return {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}


def _torch(exported: Exported) -> bytes:
    import torch

    content = io.BytesIO()
    torch.save(_tidy(exported.state), content)
    return content.getvalue()


def _safetensors(exported: Exported) -> bytes:
    from safetensors.torch import save

    return save(_tidy(exported.state), dict(exported.facts))


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing is printed meanwhile: torch has much to say of models that it cannot follow."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def _examples(sizes: Outline | TextOutline) -> "dict[str, tuple[Tensor, dict[int, str]]]":
    """What a model is followed with, by name, and which of its axes may have any length, by their names."""
    import torch

    if isinstance(sizes, TextOutline):
        return {
            name: (torch.full((EXAMPLES, length), END), {0: "batch", 1: f"{name}_length"})
            for name, length in zip(SENTENCES, LENGTHS, strict=True)
        }
    return {IMAGES: (torch.zeros(EXAMPLES, sizes.channels, sizes.height, sizes.width), {0: "batch"})}


def _onnx(exported: Exported) -> bytes:
    import torch

    model, sizes = plain_model(exported), exported.sizes
    assert sizes is not None
    names, (inputs, axes) = [*(examples := _examples(sizes))], zip(*examples.values(), strict=True)
    try:
        with _quiet():
            program: Any = torch.onnx.export(
                model,
                inputs,
                input_names=names,
                output_names=[OUTPUT],
                dynamic_shapes=axes,  # by name: with a Dim, torch 2.13 took the number of examples
                dynamo=True,
                verbose=False,
            )
        program.model.metadata_props.update(exported.facts)
        content: bytes = program.model_proto.SerializeToString()
        shapes = [each.shape for each in program.model.graph.inputs]
        is_fixed = any(isinstance(shape[axis], int) for shape, own in zip(shapes, axes, strict=True) for axis in own)
    except Exception as error:  # what follows a model raises many kinds, by what the model does
        first = error.__cause__ or error  # torch puts advice around it
        said = (str(first).strip() or "it says nothing").splitlines()[0][:MOST_SAID]
        raise ValueError(f"the model {exported.name} cannot be written as ONNX ({said})") from error
    if is_fixed:
        what = "number or length of sentences" if isinstance(sizes, TextOutline) else "number of images"
        raise ValueError(f"the model {exported.name} cannot be written as ONNX (it takes one {what} alone)")
    return content


FORMATS = {
    "torch": Format("a state dictionary, which needs nothing more", (".pt", ".pth"), (), _torch),
    "safetensors": Format("the same tensors", (".safetensors",), ("safetensors",), _safetensors),
    "onnx": Format("the model, which runs without its code", (".onnx",), ("onnx", "onnxscript"), _onnx, True),
}
"""Formats by name."""


def format_of(end: str) -> str:
    """Name of the format of files whose names end so; torch if it is nobody's."""
    return next((name for name, each in FORMATS.items() if end.lower() in each.ends), "torch")
