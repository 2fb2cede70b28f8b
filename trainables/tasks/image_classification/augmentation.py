"""The user's own augmentation: a function of a batch of images and a random generator."""

import torch
from torch import Tensor

from trainables.functions import pinned, place
from trainables.tasks.explained import explained
from trainables.tasks.image_classification.suitability import described
from trainables.tasks.random_numbers import random_numbers, random_stream

PURPOSE = "augmentation"
"""What such a function is for, in sentences."""

TRIES = 8
"""How often it is tried with other random numbers: it may do something seldom."""


class OwnAugmentation:
    """A function ``package.module:function(images, generator)`` that returns images.

    It is called for each model by itself, with that model's own images and random numbers: those of the generator, and
    torch's global ones, from which torchvision's transforms draw. So what it returns depends on them alone, and is the
    same in a stack, alone and after a resume.

    Args:
        name: Of the function, pinned.

    Raises:
        ValueError: If there is no such function, or it has changed; one sentence for the user.
    """

    def __init__(self, name: str) -> None:
        self._function, self._called = pinned(name, PURPOSE), f"{PURPOSE} {place(name)}"

    @torch.no_grad()
    def __call__(self, images: Tensor, stream: torch.Generator) -> Tensor:
        """Images as the function changes them.

        Args:
            images: Of one model: float32 in [0, 1], shape (batch, channels, h, w), contiguous. The function may change
                them in place.
            stream: That model's random numbers, on the CPU; each call draws from it what decides all that the function
                draws, from a generator on the images' device and from torch's global numbers.

        Returns:
            float32 of the same shape, near [0, 1]; nothing is cut off.

        Raises:
            ValueError: If it returns anything else; one sentence for the user. Whatever it raises is passed on.
        """
        own, everyones = torch.randint(2**62, (2,), generator=stream).tolist()
        with random_numbers(everyones, images.device):
            changed = self._function(images, torch.Generator(images.device).manual_seed(own))
        expected, found = _looks(images), _looks(changed)
        if found != expected:
            raise ValueError(f"{self._called} returned {found} instead of {expected}")
        return changed

    def check(self, shape: tuple[int, int, int], smallest_batch: int) -> None:
        """Raise ValueError, in one sentence for the user, unless the function does what is asked of it.

        Args:
            shape: Of an image: channels, h, w.
            smallest_batch: Images in the smallest batch that it is given.
        """
        for number in range(TRIES):
            batch = smallest_batch if number % 2 else max(4, smallest_batch)
            images = torch.rand(batch, *shape, generator=random_stream(PURPOSE, number))
            cannot = f"{self._called} cannot be used on {described(images)}"
            once, again = (
                explained(lambda: self(images.clone(), random_stream(number)), cannot)  # noqa: B023  # called at once
                for _ in range(2)
            )
            if not once.isfinite().all():
                raise ValueError(f"{self._called} returned pixels that are not finite")
            if not once.equal(again):
                said = "returned other images when it was given the same again"
                raise ValueError(f"{self._called} {said}; draw from its generator or torch's random numbers alone")


def _looks(images: object) -> str:
    """What sort of thing these images are, for a person."""
    if not isinstance(images, Tensor):
        return type(images).__name__
    return f"{images.dtype} of shape {tuple(images.shape)} on {images.device}"
