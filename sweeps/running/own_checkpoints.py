"""Models that users trained themselves, taken in place of dense models: copied to where every worker finds them."""

from collections.abc import Iterable, Sequence

from sweeps.running.preflight import as_usage_errors
from sweeps.spec.errors import UsageError
from trainables.storage.folder import Folder


def kept_checkpoints(paths: Sequence[str], models: Iterable[str], data: str, folder: Folder) -> list[str]:
    """Copy the weights of a user's files, if they are the models' and all different.

    Args:
        paths: Files of ``torch.save``, as typed.
        models: Names of architectures, each of which all files are to be used as.
        data: Name of the data, whose images the models take.
        folder: Of the artifacts.

    Returns:
        A name for each, which tells its content.

    Raises:
        UsageError: If one cannot be read, is of another model, or is the same as another one.
    """
    import torch

    from trainables.storage.checkpoints import keep_checkpoint
    from trainables.tasks import lookalike_task

    task = lookalike_task(data, torch.device("cpu"))
    names: dict[str, str] = {}
    for path in paths:
        with as_usage_errors():
            checkpoint = keep_checkpoint(path, [task.model(model) for model in models], folder)
        if checkpoint in names:
            raise UsageError(f"--checkpoints {path}: it is the same as {names[checkpoint]}; give each model once.")
        names[checkpoint] = path
    return list(names)
