"""How well one colour can be told from another: the contrast of WCAG 2, of computed styles."""

import re

READABLE = 4.5  # of texts
VISIBLE = 3.0  # of the borders of controls

# The colour itself, what is behind it, and how much of it all elements above let through.
_SCRIPT = """
const found = document.querySelector(arguments[0]);
const style = getComputedStyle(found);
const grounds = [];
let opacity = 1;
for (let one = found; one; one = one.parentElement) {
  grounds.push(getComputedStyle(one).backgroundColor);
  opacity *= getComputedStyle(one).opacity;
}
return [style[arguments[1]], grounds, opacity];
"""


def rgb(text):
    """Return (red, green, blue, alpha) of a computed colour, each up to 1."""
    numbers = [float(number) for number in re.findall(r"[\d.]+", text)]
    red, green, blue, *alpha = numbers
    return (red / 255, green / 255, blue / 255, alpha[0] if alpha else 1.0)


def luminance(colour):
    """Return the relative luminance of a colour, 0 (black) to 1 (white)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(page, selector, of="color"):
    """Return the contrast of a property of an element with what is behind the element."""
    own, grounds, opacity = page.run(_SCRIPT, selector, of)
    if of.startswith("border"):
        grounds = grounds[1:]  # it stands on what is around the element
    ground = next(found for text in grounds if (found := rgb(text))[3] == 1)
    colour = [
        opacity * mine + (1 - opacity) * behind
        for mine, behind in zip(rgb(own)[:3], ground[:3], strict=True)
    ]
    lights = sorted((luminance(colour), luminance(ground)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)
