"""The pieces that the figures are drawn with: a page, words, ticks, colours."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Sequence

# Colours that stay apart with any colour vision; beyond them, the dashes of a line change. There
# are fewer marks than colours, so that lines alike in one differ in the other.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#c26a9b", "#b8860b", "#3f3b38", "#4aa8dd")
DASHES = ("", "7 4", "2 3")
MARKS = (
    "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0Z",  # a disc
    "M-3.2 -3.2H3.2V3.2H-3.2Z",
    "M0 -4.4L4.2 3.2H-4.2Z",
    "M0 -4.8L4.4 0L0 4.8L-4.4 0Z",
    "M0 4.4L4.2 -3.2H-4.2Z",
)
INK, SOFT, RULE = "#1b1c1e", "#63666c", "#dcd9d2"
LINE = 17  # pixels from one line of words to the next

_STYLE = (
    'text{font:13px "Helvetica Neue","Segoe UI",Arial,"Liberation Sans",sans-serif;fill:#1b1c1e}'
    ".soft{fill:#63666c;font-size:12px}.head{font-weight:600}.title{font-size:15px;font-weight:600}"
    ".wrong{fill:#b3261e;font-weight:600}"
)


def page(width: float, height: float, title: str, body: str) -> str:
    """A whole SVG document on white paper."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escaped(title)}">'
        f"<title>{escaped(title)}</title><style>{_STYLE}</style>"
        f'<rect width="100%" height="100%" fill="#fff"/>{body}</svg>\n'
    )


def escaped(words: object) -> str:
    """Words as SVG text, without the characters that XML has no place for."""
    plain = "".join(char if char >= " " or char in "\t\n" else "\ufffd" for char in str(words))
    return html.escape(plain)


def words(x: float, y: float, said: object, kind: str = "", anchor: str = "start") -> str:
    """One line of words; `kind` is a class of the page's style."""
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {where}>{escaped(said)}</text>'


def paragraph(x: float, y: float, said: str, width: float) -> tuple[str, float]:
    """Soft words broken into lines of that width in pixels, and the y after the last line."""
    lines = textwrap.wrap(said, max(10, int(width / 6.1)))
    drawn = "".join(words(x, y + LINE * i, line, "soft") for i, line in enumerate(lines))
    return drawn, y + LINE * len(lines)


def line(x1: float, y1: float, x2: float, y2: float, colour: str = RULE, width: float = 1) -> str:
    """A straight line."""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{colour}" stroke-width="{width:g}"/>'
    )


def colour(number: int) -> str:
    """The colour of the line with that number, from 0."""
    return COLOURS[number % len(COLOURS)]


def dashes(number: int) -> str:
    """The dashes of that line."""
    return DASHES[number // len(COLOURS) % len(DASHES)]


def mark(x: float, y: float, number: int) -> str:
    """The mark of that line, at a point."""
    return (
        f'<path class="mark" transform="translate({x:.1f} {y:.1f})" '
        f'd="{MARKS[number % len(MARKS)]}" fill="{colour(number)}" stroke="#fff" '
        'stroke-width="0.8"/>'
    )


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers around [low, high], at most about `most` + 1 of them."""
    span = high - low or max(abs(high), 1.0) * 0.1
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 2.5, 5, 10) if power * times >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * place, 12) for place in range(first, max(last, first + 1) + 1)]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places near the wanted ones, at least `gap` apart, between low and high if they fit."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    places = [0.0] * len(wanted)
    floor = low
    for i in order:
        places[i] = floor = max(wanted[i], floor)
        floor += gap
    ceiling = max(high, low + gap * (len(wanted) - 1))
    for i in reversed(order):
        places[i] = ceiling = min(places[i], ceiling)
        ceiling -= gap
    return places
