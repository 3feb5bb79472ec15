"""Pictures of the site, made by the library while the site is built: none is kept in the repository.

A page names one, and `gallery.GALLERY` has the call that draws it:

    ![](picture:padding-modes)

In its place comes the drawing in the page's language, once for the light and once for the dark colours of the
site; what is read to people who do not see it is the drawing's own title and description. A name that the
gallery does not have stops the build, and so does a drawing that no page shows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from gallery import GALLERY
from mkdocs.exceptions import PluginError

from convforge.draw.animation import Animation

FOLDER = "assets/pictures"
THEMES = ("light", "dark")
# A drawing is shrunk to this share and then scrolled: what is written in it must stay readable on a phone.
LEAST = 0.6
IMAGE = re.compile(r'<img alt="" src="picture:([\w-]+)"\s*/?>')


@dataclass(frozen=True)
class Drawn:
    """A file and what the page needs to know of it; width, height: in pixels."""

    svg: str
    width: int
    height: int
    alt: str


# One process builds all languages: what their pages have shown so far, by language, name and theme.
_drawn: dict[tuple[str, str, str], Drawn] = {}


def on_page_content(html: str, page: Any, config: Any, **_: Any) -> str:
    """Images of the scheme `picture:` become the drawing's two files, at the drawing's own size."""
    language = str(config.theme["language"])

    def shown(found: re.Match[str]) -> str:
        name = found[1]
        if name not in GALLERY:
            raise PluginError(f"{page.file.src_uri}: picture:{name} is not in docs/hooks/gallery.py")
        images = "".join(_image(name, language, theme, page.url) for theme in THEMES)
        return f'<span class="drawings">{images}</span>'

    return IMAGE.sub(shown, html)


def on_post_build(config: Any) -> None:
    """Writes the drawings that this language's pages show."""
    language = str(config.theme["language"])
    shown = {key: drawn for key, drawn in _drawn.items() if key[0] == language}
    unused = set(GALLERY) - {name for _, name, _ in shown}
    if unused:
        raise PluginError(f"no page in {language!r} shows these of docs/hooks/gallery.py: {sorted(unused)}")
    for key, drawn in shown.items():
        path = Path(config.site_dir, FOLDER, _file(*key))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(drawn.svg, "utf-8")


def _image(name: str, language: str, theme: str, page_url: str) -> str:
    key = (language, name, theme)
    if key not in _drawn:
        _drawn[key] = _draw(name, language, theme)
    drawn = _drawn[key]
    up = "../" * page_url.count("/")
    # The fragment is what the theme shows or hides by its colours.
    source = f"{up}{FOLDER}/{_file(*key)}#only-{theme}"
    size = f'width="{drawn.width}" height="{drawn.height}" style="min-width: {LEAST * drawn.width:.0f}px"'
    return f'<img class="drawing" alt="{escape(drawn.alt)}" src="{source}" {size} loading="lazy">'


def _draw(name: str, language: str, theme: str) -> Drawn:
    picture = GALLERY[name](language=language, theme=theme)
    # An animation's last frame is the whole result.
    still = picture.frames[-1] if isinstance(picture, Animation) else picture
    alt = " ".join(part for part in (picture.title, still.description) if part)
    return Drawn(picture.svg, round(still.width), round(still.height), alt)


def _file(language: str, name: str, theme: str) -> str:
    return f"{language}/{name}-{theme}.svg"
