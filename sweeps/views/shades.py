"""Colours of a phase diagram: ranges that one outlier does not widen, and letters that can be read on every shade."""

import math
import re
from collections.abc import Iterable, Sequence

CIVIDIS = (
    "#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838",
)  # fmt: skip
"""Scale of values, dark to bright, nearly the same to the colour-blind (Nunez, Anderton, Renslow 2018)."""

REGIME_COLORS = {"I": "#d55e00", "II-A": "#56b4e9", "II": "#56b4e9", "II-B": "#f0e442"}
"""Vermilion, sky blue and yellow of Okabe and Ito 2008: of their colours without black the three that are the furthest
apart, also paler, to people with protanopia, deuteranopia and tritanopia, and of rising lightness in grey."""

PHASE_COLORS = {
    "I": "#994455", "II": "#997700", "III": "#004488", "IV-A": "#6699cc", "IV-B": "#eecc66", "IV": "#ee99aa",
}  # fmt: skip
"""Tol's medium-contrast scheme (technical note SRON/EPS/TN/09-002, 2021): six colours made for the colour-blind and for
prints in grey, where their lightness differs by 9 or more (L*). Red, blue and yellow are for I, IV-A and IV-B as for
the regimes I, II-A and II-B."""

WHITE, BLACK, NOTHING = "#ffffff", "#000000", "#d9d9d9"

PALEST = 0.35
"""Of a regime's colour, mixed with white, where its probability is no larger than that of three alike."""

LEAST_VALUES = 5
"""Of fewer none is an outlier."""

MOST_TICKS = 6


def known(values: Iterable[Iterable[float]]) -> list[float]:
    """All values of a grid but NaN, ascending."""
    return sorted(value for row in values for value in row if not math.isnan(value))


def color_range(values: Sequence[float], shown: Sequence[float] = ()) -> tuple[float, float]:
    """Range of a colour scale that outliers do not wash out.

    The k smallest and the k largest of n values are looked at apart, where k is n / 20 rounded up. A value is outside
    the range if it is further from the others than these are from each other: below low - (high - low) or above
    high + (high - low), where low and high are the smallest and the largest of the others. So this is a fence as
    Tukey's, but around the middle nine tenths: one around the middle half calls the whole of a small regime an outlier.
    At each end k values are outside at most. Our rule.

    Args:
        values: Numbers, ascending.
        shown: Values that the range contains in any case, such as a threshold.

    Returns:
        The smallest and the largest value inside, which differ.
    """
    inside = list(values)
    apart = math.ceil(len(inside) / 20)
    if len(inside) >= LEAST_VALUES and (width := inside[-1 - apart] - inside[apart]) > 0:
        low, high = inside[apart] - width, inside[-1 - apart] + width
        inside = [value for value in inside if low <= value <= high]
    inside = [*inside, *shown] or [0.0]
    low, high = min(inside), max(inside)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        middle = max(abs(low), 1e-3) / 20
        return low - middle, high + middle
    return low, high


def shade(scale: Sequence[str], share: float) -> str:
    """Colour at a share in [0, 1] of evenly spaced colours, interpolated in sRGB; what is outside is at its end."""
    place = min(max(share, 0.0), 1.0) * (len(scale) - 1)
    left = min(int(place), len(scale) - 2)
    ends = zip(_channels(scale[left]), _channels(scale[left + 1]), strict=True)
    return "#" + "".join(f"{round(255 * (a + (b - a) * (place - left))):02x}" for a, b in ends)


def regime_scale(regime: str) -> tuple[str, str]:
    """Scale of how sure a regime is, from three that are alike to certain."""
    color = REGIME_COLORS[regime]
    return shade((WHITE, color), PALEST), color


def contrast(one: str, other: str) -> float:
    """Contrast of two colours, 1 to 21 (Web Content Accessibility Guidelines 2.1: at least 4.5 for text)."""
    dark, bright = sorted((_luminance(one), _luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


def ink(color: str) -> str:
    """Black or white, which can be read better on a colour: a contrast of 4.58 or more on any."""
    return max((BLACK, WHITE), key=lambda letters: contrast(letters, color))


def ticks(low: float, high: float, mark: float | None = None) -> list[float]:
    """Round numbers of a colour bar, about five, and the one to mark, without those that would run into it."""
    rough = (high - low) / (MOST_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each for factor in (1, 2, 2.5, 5, 10) if (each := factor * power) >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    found = [float(f"{number * step:.10g}") for number in range(first, last + 1)]
    return _with_mark(found, mark, high - low)


def log_ticks(low: float, high: float, mark: float | None = None) -> list[float]:
    """The same of a logarithmic colour bar: all numbers are logarithms to base 10.

    Powers of ten, with 2 and 5 times or 3 times these where there are few of them; within less than a decade the round
    numbers of :func:`ticks`.
    """
    if high - low < 1:
        values = [value for value in ticks(10**low, 10**high) if value > 0]
        return _with_mark([math.log10(value) for value in values], mark, high - low)
    first, last = math.floor(low), math.ceil(high)
    for factors, step in ((1, 2, 5), 1), ((1, 3), 1), *(((1,), step) for step in range(1, last - first + 2)):
        found = [power + math.log10(factor) for power in range(first, last + 1, step) for factor in factors]
        inside = [place for place in found if low - 1e-6 <= place <= high + 1e-6]
        if len(inside) <= MOST_TICKS:
            break
    return _with_mark(inside, mark, high - low)


def _with_mark(places: Sequence[float], mark: float | None, length: float) -> list[float]:
    """Places with the one to mark, without those that would run into it."""
    if mark is None:
        return list(places)
    return sorted([mark, *(place for place in places if abs(place - mark) > length / 10)])


def tick_text(value: float) -> str:
    """A number beside a colour bar."""
    text = f"{value:.4g}" if abs(value) < 1e4 else f"{value:.10g}"
    return re.sub(r"e([+-])0?", lambda found: "e" + found[1].strip("+"), text).replace("-", "−")


def _channels(color: str) -> list[float]:
    """Red, green and blue of a colour as #rrggbb, in [0, 1]."""
    return [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]


def _luminance(color: str) -> float:
    """Relative luminance of a colour in [0, 1], as the guidelines define it."""
    linear = [
        channel / 12.92 if channel <= 0.03928 else ((channel + 0.055) / 1.055) ** 2.4 for channel in _channels(color)
    ]
    return sum(weight * channel for weight, channel in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
