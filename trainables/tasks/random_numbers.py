"""Random numbers that a resume draws again as they were."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def random_stream(*names: str | int) -> torch.Generator:
    """Random numbers that depend on these names alone, on every device and after every resume."""
    seed = hashlib.blake2b("/".join(map(str, names)).encode(), digest_size=7).digest()
    return torch.Generator().manual_seed(int.from_bytes(seed))


@contextmanager
def random_numbers(seed: int, device: torch.device) -> Iterator[None]:
    """Have torch's global random numbers, as layers like dropout draw them, begin with this seed, and restore them."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed takes a tenth of a millisecond more
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)
        yield
