"""What this project wants to know of a GPU: ``python tests/benchmarks/gpu.py PIECE ... --out FOLDER``.

Nothing is asserted. The command ends by itself before ``--minutes`` are over. Every result is a line of
``FOLDER/<piece>.jsonl`` as soon as it exists; the same command goes on with what is not there yet. Ray is not needed.
Where the project is not installed, ``PYTHONPATH=.`` in its folder is enough.

Pieces, in the order in which they are worth their time:

- ``tests``: pytest's that are marked ``gpu``;
- ``steps``: milliseconds, kernels and memory of a training step: models, batch sizes, stacks, precisions, layouts,
  cuDNN's choices, compiled forward passes, and the whole step as a CUDA graph;
- ``measuring``: the time of measuring a pair of siblings;
- ``trials``: images a second, and points an hour, of 1 to 16 processes that share the card;
- ``projection``: hours of ``paper-epochs`` on one card, by the three before; shows the arithmetic;
- ``reference``: ``tests/benchmarks/reference.py`` on the device;
- ``paper``: as much of ``paper-epochs`` on CIFAR-10 as there is time for, in several processes.

Data: ``--data FILE.npz``, as of ``sweeps/grid.py``. CIFAR-10 is 185 MB so; what may carry less takes it in parts:
``gpu.py pack --data cifar10.npz --out FOLDER --parts 2`` writes it as lossless WebP, 50 MB a part of two, and ``--data
FOLDER`` reads all parts that were brought to one folder. Without data, images are made up.
"""

import argparse
import importlib
import sys
from pathlib import Path

PIECES = {
    "tests": "commands",
    "reference": "commands",
    "steps": "steps",
    "measuring": "measuring",
    "trials": "trials",
    "projection": "projection",
    "paper": "paper",
    "pack": "images",
}
"""Pieces, and the modules of :mod:`gpu_pieces` that have a function of the name."""


def main() -> None:
    """Run the pieces."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pieces", nargs="+", choices=PIECES, metavar="PIECE", help=", ".join(PIECES))
    parser.add_argument("--out", type=_path, required=True, help="folder of the results")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=8.5, help="for all pieces together")
    parser.add_argument("--data", type=_path, help="FILE.npz, or a folder of packed parts")
    parser.add_argument("--parts", type=int, default=2, help="of pack")
    parser.add_argument("--processes", type=int, help="of paper; without it the best of trials, or 4")
    parser.add_argument(
        "--epochs", type=int, default=160, help="of paper: a shorter schedule, temperatures in proportion"
    )
    parser.add_argument("--work", type=_path, help="where paper keeps models; FOLDER/work without it")
    parser.add_argument("--tiny", action="store_true", help="sizes that mean nothing, to see that all of it runs")
    parser.add_argument("--case", help=argparse.SUPPRESS)  # what a process of a piece's own is to do
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parents[2]))
    import torch
    from gpu_pieces.session import Session

    torch.set_num_threads(1)  # as in a trial
    session = Session(**{name: value for name, value in vars(options).items() if name != "pieces"})
    if options.pieces != ["pack"]:
        if session.place.type == "cuda" and not torch.cuda.is_available():
            parser.error("torch finds no GPU here; --device cpu --tiny shows that all of it runs")
        if session.case is None:
            session.describe_machine()
    for piece in options.pieces:
        if session.left < 0:
            print(f"{piece}: no time left")
            continue
        if session.case is None:
            print(f"== {piece}, {session.left / 60:.1f} minutes left", flush=True)
        getattr(importlib.import_module(f"gpu_pieces.{PIECES[piece]}"), piece)(session)


def _path(text: str) -> Path:
    """A path that means the same to processes that are started in another folder."""
    return Path(text).absolute()


if __name__ == "__main__":
    main()
