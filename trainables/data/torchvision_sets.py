"""torchvision's data sets, fetched once for each machine."""

import json
import os
from pathlib import Path

import numpy as np

from trainables.data.images import Images
from trainables.data.kind import content_hash
from trainables.data.mapped import kept
from trainables.data.staging import alone
from trainables.functions.torchvision_import import import_torchvision

PLACES = {
    "CIFAR10": ("", "cifar-10-batches-py"),
    "CIFAR100": ("", "cifar-100-python"),
    "SVHN": ("SVHN", ""),
    "FashionMNIST": ("", "FashionMNIST/raw"),
    "MNIST": ("", "MNIST/raw"),
}
"""Where in the folder each data set lies: the root torchvision is given, and its files below that."""


def load_images(name: str, folder: str) -> tuple[Images, Images]:
    """Training and test images of a data set of torchvision, downloaded first if they are not in the folder.

    Workers of one machine wait for the one that downloads, and for the one that reads torchvision's files, which takes
    a second or two. What it read lies in ``decoded/`` of the folder for all of them. Files appear in their place all at
    once, so a download that is stopped leaves nothing that could be taken for the data.

    Raises:
        ValueError: If they are not there and cannot be fetched, or are damaged; one sentence for the user.
    """
    base = Path(os.path.expanduser(folder)).absolute()
    place = base.joinpath(*PLACES[name])
    if not place.exists():
        import_torchvision("torchvision.datasets")
        _download(name, base, place)
    return kept(f"{name}-{_state(place)}", base / "decoded", lambda: _read(name, base / PLACES[name][0], place))


def _state(place: Path) -> str:
    """A name for what torchvision's files are now, by their names, sizes and times."""
    try:
        files = sorted((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in place.iterdir())
    except OSError:
        files = []
    return content_hash(json.dumps(files).encode())


def _read(name: str, root: Path, place: Path) -> tuple[Images, Images]:
    import_torchvision("torchvision.datasets")
    try:
        return _split(name, root, train=True, download=False), _split(name, root, train=False, download=False)
    except (PermissionError, MemoryError) as error:
        raise ValueError(f"{name} in {place} cannot be read ({error})") from None
    except Exception as error:  # of many kinds, by what the files hold
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{name} in {place} is damaged or not whole ({reason}); remove that folder") from None


def _download(name: str, base: Path, place: Path) -> None:
    try:
        with alone(base, name) as temporary:
            if place.exists():
                return  # another worker did it
            print(f"Downloading {name} to {base}", flush=True)
            root = temporary / PLACES[name][0]
            for train in (True, False):
                _split(name, root, train, download=True)
            place.parent.mkdir(parents=True, exist_ok=True)
            for archive in (root / PLACES[name][1]).glob("*.gz"):
                archive.unlink()
            os.rename(root / PLACES[name][1], place)
    except Exception as error:  # torchvision's own, the network's, the disk's
        reason = " ".join(str(error).split())
        said = f"put torchvision's files of it into {place}, or name the folder that has them with --data-folder"
        raise ValueError(f"{name} is not in {base} and cannot be downloaded ({reason}); {said}") from None


def _split(name: str, root: Path, train: bool, download: bool) -> Images:
    """Let torchvision read one split; its classes keep arrays and labels under differing names."""
    kind = getattr(import_torchvision("torchvision.datasets"), name)
    which = {"split": "train" if train else "test"} if name == "SVHN" else {"train": train}
    data = kind(root=str(root), download=download, **which)
    pixels = np.asarray(data.data)
    if name == "SVHN":
        return Images(np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)), np.asarray(data.labels, dtype=np.int64))
    return Images(pixels if pixels.ndim == 4 else pixels[..., None], np.asarray(data.targets, dtype=np.int64))
