"""Draw docs/rooms.svg from the layer contracts in pyproject.toml (``make docs``); a test holds the two equal.

One box a room, floors above each other as imports point down. Inside a box every line is a layer: what stands on one
line may not import each other, and everything imports downwards only.
"""

from __future__ import annotations

import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PICTURE = ROOT / "docs" / "rooms.svg"

WIDTH, MARGIN, GAP = 1180, 16, 14
LABEL = 84  #: Pixels for a floor's name, left of its rooms.
TITLE, LINE, PADDING = 26, 17, 12
FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"
#: Floor of a layer's first room; the audit stands on the jobs' floor, below them.
FLOORS = {"__main__": 5, "jobs": 4, "audit": 4, "learning": 3, "features": 2, "core": 1}
#: Characters of a layer's line that fit in one pixel of a box, at 12 pixels a letter's height.
CHARACTERS = 1 / 6.6


def contracts() -> dict[str, list[str]]:
    """Name of a container (``quantlab``, ``quantlab.data``) -> its layers, from the top."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return {one["containers"][0]: one["layers"] for one in tool["contracts"] if one["type"] == "layers"}


def siblings(layer: str) -> list[str]:
    """Rooms or folders of one layer."""
    return [name.strip() for name in layer.split("|")]


def wrapped(names: list[str], width: int) -> list[str]:
    """The names of one layer in as many lines as they need in a box of `width` pixels."""
    lines = [""]
    for name in names:
        longer = f"{lines[-1]} · {name}" if lines[-1] else name
        if len(longer) > (width - 2 * PADDING) * CHARACTERS and lines[-1]:
            lines.append(name)
        else:
            lines[-1] = longer
    return lines


def box(name: str, layers: list[str], x: int, y: int, width: int, height: int) -> list[str]:
    """A room with its layers."""
    parts = [
        f"<rect x='{x}' y='{y}' width='{width}' height='{height}' rx='6' fill='#ffffff' stroke='#7c8a99'/>",
        f"<text x='{x + PADDING}' y='{y + 19}' {FONT} font-size='14' font-weight='600' fill='#14202b'>{escape(name)}</text>",
    ]
    at = y + TITLE
    for layer in layers:
        lines = wrapped(siblings(layer), width)
        parts.append(
            f"<rect x='{x + 6}' y='{at + 2}' width='{width - 12}' height='{LINE * len(lines) - 2}' rx='3' fill='#e8eef4'/>"
        )
        for number, line in enumerate(lines):
            down = at + LINE * (number + 1) - 3
            parts.append(
                f"<text x='{x + PADDING}' y='{down}' {FONT} font-size='12' fill='#2c3e50'>{escape(line)}</text>"
            )
        at += LINE * len(lines)
    return parts


def height_of(layers: list[str], width: int) -> int:
    """Pixels that a room with these layers needs."""
    return TITLE + sum(LINE * len(wrapped(siblings(layer), width)) for layer in layers) + 8


def picture() -> str:
    """The whole drawing as SVG."""
    found = contracts()
    parts: list[str] = []
    y = MARGIN
    floors = found["quantlab"]
    for number, floor in enumerate(floors):
        rooms = siblings(floor)
        width = (WIDTH - 2 * MARGIN - LABEL - GAP * (len(rooms) - 1)) // len(rooms)
        height = max(height_of(found.get(f"quantlab.{room}", []), width) for room in rooms)
        if number:
            middle = MARGIN + LABEL + (WIDTH - 2 * MARGIN - LABEL) // 2
            parts.append(
                f"<path d='M{middle} {y - GAP - 2} v{GAP - 2} m-4 -5 l4 5 l4 -5' fill='none' stroke='#7c8a99'/>"
            )
        parts.append(
            f"<text x='{MARGIN}' y='{y + 19}' {FONT} font-size='12' fill='#5b6b7a'>floor {FLOORS[rooms[0]]}</text>"
        )
        for place, room in enumerate(rooms):
            x = MARGIN + LABEL + place * (width + GAP)
            parts += box(room, found.get(f"quantlab.{room}", []), x, y, width, height)
        y += height + GAP + 4
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{y + 4}' viewBox='0 0 {WIDTH} {y + 4}' "
        "role='img' aria-label='Rooms of quantlab and the layers inside them; imports point down'>"
        f"<rect width='{WIDTH}' height='{y + 4}' fill='#f6f8fa'/>"
    )
    return "\n".join([head, *parts, "</svg>"]) + "\n"


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(picture())


if __name__ == "__main__":
    main()
