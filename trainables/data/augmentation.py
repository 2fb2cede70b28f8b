"""How training images are changed at random, anew each time that they are trained on. Imports no torch."""

from dataclasses import dataclass, field

from trainables.functions import is_function


@dataclass(frozen=True)
class Augmentation:
    """Shifted, then mirrored, then as a function of the user's says.

    Attributes:
        crop_padding: Pixels of zeros around an image from which it is cropped again at random; the data set's own if
            None.
        flip: Whether images are mirrored at random, left to right; the data set's own if None.
        function: The user's own, pinned; None for none.
    """

    crop_padding: int | None = None
    flip: bool | None = None
    function: str | None = field(default=None, metadata={"added": True})


AS_PUBLISHED = Augmentation()

AUGMENTATIONS = ("published", "none", "crop-flip")
"""What an augmentation may be called; or it is a function's name."""


def augmentation_of(name: str, crop_padding: int | None, flip: bool | None) -> Augmentation:
    """Augmentation of a name and the options that change it.

    Args:
        name: Of :data:`AUGMENTATIONS`; or a function's: images are then shifted and mirrored, before it, only if the
            other options say so.
        crop_padding: As of :class:`Augmentation`; None if it was not given.
        flip: Likewise.
    """
    if is_function(name):
        return Augmentation(crop_padding or 0, bool(flip), name)
    known = {
        "published": Augmentation(crop_padding, flip),
        "none": Augmentation(0, False),
        "crop-flip": Augmentation(crop_padding, True),
    }
    return known[name]
