"""One animated SVG from frames: what stands still is written once, the rest is shown in its turn.

    frame 0   A B C          A                shown always
    frame 1   A D C          B   0            shown in frames 0
    frame 2   A D E          D     1 2
                             C   0 1
                             E       2

Frames are lists of elements in the order they are painted. They are merged into one list that has every
frame's elements in its order; neighbours that are shown together form a group, which CSS keyframes show and
hide. Where motion is not wanted (`prefers-reduced-motion`, print, programs that know no animations) the last
frame stands; while a pointer rests on it, an animation waits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import accumulate, groupby

from convforge.draw.drawing import Drawing
from convforge.draw.svg import NAMESPACE, Element, element, number
from convforge.draw.theme import FONT, ROLES, style_sheet

Shown = frozenset[int]


def animated_root(frames: Sequence[Drawing], seconds: Sequence[float], title: str) -> Element:
    """The `svg` element of an animation. All frames have one size, language and theme."""
    first = frames[0]
    bodies = [[part for part in frame.root.children if _is_painted(part)] for frame in frames]
    merged = merge(bodies)
    whole = "".join(str(frame.root) for frame in frames) + repr(tuple(seconds))
    # Several animations can stand in one page: names of rules and keyframes are its own.
    name = f"cf{hashlib.sha256(whole.encode()).hexdigest()[:8]}"
    everywhere = frozenset(range(len(frames)))
    turns: dict[Shown, int] = {}
    painted: list[Element | str] = []
    for shown, group in groupby(merged, key=lambda part: part[1]):
        parts = [part for part, _ in group]
        if shown == everywhere:
            painted += parts
        else:
            turn = turns.setdefault(shown, len(turns))
            painted.append(element("g", *parts, class_=f"{name}-f {name}-{turn}"))
    roles = {role for part, _ in merged for role in _roles(part)}
    return element(
        "svg",
        element("title", title),
        element("desc", first.description),
        element("style", style_sheet(first.theme, roles) + keyframes(name, turns, seconds)),
        *painted,
        xmlns=NAMESPACE,
        viewBox=f"0 0 {number(first.width)} {number(first.height)}",
        width=first.width,
        height=first.height,
        class_=f"cf-{first.theme} {name}",
        role="img",
        aria_label=title,
        lang="zh-CN" if first.language == "zh" else "en",
        font_family=FONT,
    )


def merge(bodies: Sequence[Sequence[Element | str]]) -> list[tuple[Element | str, Shown]]:
    """Every element once where the order allows it, and the frames that show it."""
    keys: list[str] = []
    parts: list[Element | str] = []
    shown: list[set[int]] = []
    for frame, body in enumerate(bodies):
        texts = [str(part) for part in body]
        matcher = SequenceMatcher(None, keys, texts, autojunk=False)
        new_keys: list[str] = []
        new_parts: list[Element | str] = []
        new_shown: list[set[int]] = []
        for kind, low, high, start, stop in matcher.get_opcodes():
            new_keys += keys[low:high]
            new_parts += parts[low:high]
            new_shown += [own | {frame} for own in shown[low:high]] if kind == "equal" else shown[low:high]
            if kind != "equal":
                new_keys += texts[start:stop]
                new_parts += body[start:stop]
                new_shown += [{frame} for _ in range(start, stop)]
        keys, parts, shown = new_keys, new_parts, new_shown
    return [(part, frozenset(frames)) for part, frames in zip(parts, shown, strict=True)]


def keyframes(name: str, turns: dict[Shown, int], seconds: Sequence[float]) -> str:
    """The rules that show each group in its frames, over and over."""
    total = sum(seconds)
    starts = [0.0, *accumulate(seconds)][:-1]
    last = len(seconds) - 1
    rules = [f".{name}-f{{animation:{number(total)}s step-end infinite;visibility:hidden}}"]
    for shown, turn in turns.items():
        steps: list[str] = []
        for frame, start in enumerate(starts):
            if frame == 0 or (frame in shown) != (frame - 1 in shown):
                word = "visible" if frame in shown else "hidden"
                steps.append(f"{100 * start / total:.4g}%{{visibility:{word}}}")
        rules.append(f"@keyframes {name}-{turn}{{{''.join(steps)}}}")
        resting = ";visibility:visible" if last in shown else ""
        rules.append(f".{name}-{turn}{{animation-name:{name}-{turn}{resting}}}")
    rules.append(f".{name}:hover .{name}-f{{animation-play-state:paused}}")
    rules.append(f"@media print,(prefers-reduced-motion:reduce){{.{name} .{name}-f{{animation:none}}}}")
    return "".join(rules)


def _is_painted(part: Element | str) -> bool:
    return isinstance(part, str) or part.tag not in ("title", "desc", "style")


def _roles(part: Element | str) -> set[str]:
    """The roles whose styles an element needs: its classes, and its parts'."""
    if isinstance(part, str):
        return set()
    own = {value for name, value in part.attributes if name == "class" and value in ROLES}
    return own.union(*(_roles(child) for child in part.children)) if part.children else own
