"""An animation: drawings shown one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from convforge.draw.animated_svg import animated_root
from convforge.draw.drawing import MARGIN, Drawing, drawing_of
from convforge.draw.export import MOVING_SCALE, checked_suffix, moving_bytes
from convforge.draw.layout import Box, column, line, padded, paragraph
from convforge.draw.subject import Subject
from convforge.draw.svg import number
from convforge.draw.whole_file import write_whole
from convforge.errors import ConvValueError
from convforge.explain.words import Language, Words

MOVING = (".svg", ".gif", ".png")
MOST_FRAMES = 256
LAST_FRAME_SECONDS = 2.0
NARROWEST = 420.0


@dataclass(frozen=True)
class Animation:
    """Frames of one size, each shown for so many seconds, again and again.

    The last frame is the whole result: it stands where motion is not wanted.
    """

    frames: tuple[Drawing, ...]
    seconds: tuple[float, ...]
    title: str

    def __post_init__(self) -> None:
        assert len(self.frames) == len(self.seconds) > 0
        assert len({(frame.width, frame.height, frame.theme) for frame in self.frames}) == 1

    @cached_property
    def svg(self) -> str:
        """One self-contained animated SVG file as text."""
        return f"{animated_root(self.frames, self.seconds, self.title)}\n"

    def save(self, path: str | Path, *, scale: float = MOVING_SCALE) -> Path:
        """Write it to a file: .svg, .gif, or .png, which is animated too. Returns the path.

        scale: pixels an SVG unit, of GIF and PNG. Missing folders are made; the file is whole or not there.

        Raises ValueError for another suffix (a single frame, such as frames[-1], is saved as .pdf), and an
        error that names the extra where a library is missing.
        """
        path = Path(path)
        suffix = checked_suffix(path.suffix, MOVING, "an animation")
        if suffix == ".svg":
            data = self.svg.encode()
        else:
            data = moving_bytes(self.frames, self.seconds, suffix, scale=scale)
        write_whole(path, lambda file: file.write(data))
        return path

    def _repr_html_(self) -> str:
        return f'<div style="max-width:{number(self.frames[0].width)}px">{self.svg}</div>'


@dataclass(frozen=True)
class Scene:
    """What a frame shows: its body, words below it, and how long in seconds."""

    body: Box
    words: Box
    seconds: float


def animation_of(
    subject: Subject, scenes: Sequence[Scene], *, subtitle: str, description: Words
) -> Animation:
    """Scenes about a layer as frames of one size, the layer's code over them."""
    return framed(
        scenes,
        title=subject.layer.text,
        subtitle=subtitle,
        description=subject.say(description),
        language=subject.language,
        theme=subject.theme,
    )


def framed(
    scenes: Sequence[Scene], *, title: str, subtitle: str, description: str, language: Language, theme: str
) -> Animation:
    """Scenes below one title as frames of one size; the title and the bodies stand still."""
    top = line(title, size=19, bold=True, name="title")
    bodies, words = [scene.body for scene in scenes], [scene.words for scene in scenes]
    width = max(NARROWEST, top.width, *(box.width for box in (*bodies, *words)))
    head = column(top, paragraph(subtitle, width), gap=6)
    body_height, words_height = max(box.height for box in bodies), max(box.height for box in words)
    frames: list[Drawing] = []
    for scene in scenes:
        body = replace(scene.body, width=width, height=body_height)
        below = replace(scene.words, width=width, height=words_height)
        whole = padded(column(head, body, below, gap=20), MARGIN, MARGIN, MARGIN, MARGIN)
        frames.append(drawing_of(whole, title=title, description=description, language=language, theme=theme))
    return Animation(tuple(frames), tuple(scene.seconds for scene in scenes), title)


def checked_count(count: int, what: str, fix: str, most: int = MOST_FRAMES) -> None:
    """Refuses an animation of too many frames: nobody would watch it, and its file would be huge."""
    if count > most:
        raise ConvValueError(f"{what} makes {count} frames, and an animation has up to {most}: {fix}")
