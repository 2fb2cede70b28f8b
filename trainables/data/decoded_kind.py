"""What kinds of data have in common whose images are decoded once on each machine."""

from abc import abstractmethod
from pathlib import Path

from trainables.data.decoded import Decoded, cache_of, is_pinned, load_decoded, pinned
from trainables.data.images import DataSet, Normalisation, Outline
from trainables.data.kind import Kind


class DecodedKind(Kind):
    """Names are ``<place>#<training>+<test images>-<h>x<w>x<channels>-<classes>-<hash>`` once they are pinned.

    What decides results is what was decoded: not the place, nor how it got there.
    """

    @abstractmethod
    def place(self, data: str) -> str:
        """The place of a name that is not pinned."""

    @abstractmethod
    def decoded(self, place: str, base: Path, image_size: int | None, known: Decoded | None = None) -> Decoded:
        """See what is at a place, and have it decoded.

        Args:
            place: The place.
            base: Where what is decoded is kept.
            image_size: As of :meth:`Kind.pin`.
            known: What there was; if another process has it by now, nobody looks again.

        Raises:
            ValueError: If it is not usable; one sentence for the user.
        """

    def is_pinned(self, data: str) -> bool:
        """As :data:`trainables.data.decoded.PINNED`."""
        return is_pinned(data)

    def pin(self, data: str, folder: str, image_size: int | None) -> str:
        """As :meth:`Kind.pin`."""
        if not is_pinned(data):
            place = self.place(data)
            return f"{place}#{self.decoded(place, cache_of(folder), image_size)}"
        own, size = self.outline(data), pinned(data)[1].image_size
        if image_size not in (None, size):
            raise ValueError(f"--image-size {image_size}: {data} has images of {own.height}x{own.width} pixels")
        return data

    def content_name(self, data: str) -> str:
        """What is decoded."""
        return f"images#{pinned(data)[1]}"

    def samples(self, data: str) -> int:
        """From the name."""
        return self.outline(data).train

    def outline(self, data: str) -> Outline:
        """From the name."""
        return pinned(data)[1].outline

    def normalisation(self, data: str, folder: str) -> Normalisation:
        """As :meth:`Kind.normalisation`: from images that are decoded on this machine; nothing is decoded for it."""
        try:
            loaded = load_decoded(pinned(data)[1], cache_of(folder))
        except FileNotFoundError:
            raise ValueError(f"images of {data} are not decoded in {cache_of(folder)}") from None
        return Normalisation(loaded.mean, loaded.std)

    def load(self, data: str, folder: str) -> DataSet:
        """As :meth:`Kind.load`, in files that are not read yet; decoded on this machine if that was not done."""
        (place, known), base = pinned(data), cache_of(folder)
        try:
            return load_decoded(known, base)
        except FileNotFoundError:
            found = self.decoded(place, base, known.image_size, known)
        if found != known:
            said = "other images here than when the sweep was made, or they are decoded otherwise"
            raise ValueError(f"{place} gives {said}; name it again to sweep what it gives now")
        return load_decoded(known, base)
