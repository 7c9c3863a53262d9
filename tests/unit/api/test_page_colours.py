"""Prices can be read on every ground that a row has, also while it flashes: WCAG 2.2, 1.4.3, a contrast of 4.5 to 1."""

import itertools
import re
from pathlib import Path

import pytest

SHEET = Path(__file__).resolve().parents[3] / "api/static/api/shell.css"
GROUNDS = ("panel", "chosen", "pointed")


def schemes():
    """The dark colours and the light ones, by name."""
    blocks = re.findall(r":root \{(.*?)\}", SHEET.read_text(encoding="utf-8"), re.DOTALL)
    return dict(
        zip(("dark", "light"), (dict(re.findall(r"--([\w-]+): #(\w+)", block)) for block in blocks), strict=True)
    )


def over(colour, ground):
    """Three channels from 0 to 1 of a colour, which may be seen through, on another."""
    *channels, alpha = bytes.fromhex(f"{colour:f<8}")
    part = alpha / 255
    return [(part * one + (1 - part) * below) / 255 for one, below in zip(channels, bytes.fromhex(ground), strict=True)]


def luminance(channels):
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return sum(weight * one for weight, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_prices_and_texts_stand_out_from_their_grounds(scheme):
    colours = schemes()[scheme]
    pale = {}
    for text, ground, veil in itertools.product(("text", "up", "down"), GROUNDS, (None, "up-flash", "down-flash")):
        below = over(colours[veil], colours[ground]) if veil else over(colours[ground], colours[ground])
        darker, lighter = sorted([luminance(over(colours[text], colours[ground])), luminance(below)])
        if (lighter + 0.05) / (darker + 0.05) < 4.5:
            pale[text, ground, veil] = (lighter + 0.05) / (darker + 0.05)

    assert pale == {}


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_the_tones_of_a_chart_stand_out_from_its_ground_and_are_no_two_of_them_alike(scheme):
    colours = schemes()[scheme]
    tones = {name: colours[name] for name in colours if name.startswith("tone-")}
    panel = luminance(over(colours["panel"], colours["panel"]))
    pale = {}
    for name, tone in tones.items():
        darker, lighter = sorted([luminance(over(tone, tone)), panel])
        if (lighter + 0.05) / (darker + 0.05) < 4.5:
            pale[name] = (lighter + 0.05) / (darker + 0.05)

    assert len(set(tones.values())) == len(tones) == 8
    assert pale == {}
