"""Readable colours: contrast by WCAG 2, and the nearest shade that passes. Pure."""

from __future__ import annotations

import re

AA = 4.5
"""Minimum contrast of text (WCAG level AA)."""

PAGE_LIGHT = "#ffffff"
PAGE_DARK = "#16181b"

_HEX = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


def is_colour(text: str) -> bool:
    """Returns whether the text is `#rgb` or `#rrggbb`."""
    return _HEX.fullmatch(text) is not None


def contrast(one: str, other: str) -> float:
    """Returns the contrast ratio of two colours, 1 to 21."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def readable(colour: str, page: str) -> str:
    """Returns the colour, or its nearest shade with enough contrast on the page."""
    towards = 0 if _luminance(page) > 0.5 else 255
    for step in range(101):
        shade = _mixed(colour, towards, step / 100)
        if contrast(shade, page) >= AA:
            return shade if step else colour
    return "#000000" if towards == 0 else "#ffffff"


def _channels(colour: str) -> tuple[int, int, int]:
    digits = colour.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    red, green, blue = (int(digits[at : at + 2], 16) for at in (0, 2, 4))
    return red, green, blue


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(channel / 255) for channel in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)


def _mixed(colour: str, towards: int, share: float) -> str:
    mixed = (round(channel + (towards - channel) * share) for channel in _channels(colour))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)
