"""Pictures of the site, made by the library while the site is built: none is kept in the repository.

A page names one, and `gallery.GALLERY` has the call that draws it:

    ![Padding, all four modes](picture:padding-modes)

In its place comes the drawing in the page's language, once for the light and once for the dark colours of the
site. A name that the gallery does not have stops the build, and so does a drawing that no page shows.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from gallery import GALLERY
from mkdocs.exceptions import PluginError

FOLDER = "assets/pictures"
THEMES = ("light", "dark")
IMAGE = re.compile(r'<img alt="([^"]*)" src="picture:([\w-]+)"\s*/?>')

# One name a language: what the pages show so far. mkdocs builds all languages in one process.
_shown: dict[str, set[str]] = {}
_drawn: dict[tuple[str, str, str], tuple[str, str]] = {}


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Images of the scheme `picture:` become the drawing's two files, at the drawing's own size."""
    language = str(config.theme["language"])

    def shown(found: re.Match[str]) -> str:
        alt, name = found.groups()
        if name not in GALLERY:
            raise PluginError(f"{page.file.src_uri}: picture:{name} is not in docs/hooks/gallery.py")
        _shown.setdefault(language, set()).add(name)
        return "".join(_image(name, language, theme, alt, page.url) for theme in THEMES)

    return IMAGE.sub(shown, html)


def on_post_build(config: Any) -> None:
    """Writes the drawings that this language's pages show."""
    language = str(config.theme["language"])
    unused = set(GALLERY) - _shown.get(language, set())
    if unused:
        raise PluginError(f"no page in {language!r} shows these of docs/hooks/gallery.py: {sorted(unused)}")
    for (spoken, name, theme), (svg, _) in _drawn.items():
        if spoken == language:
            path = Path(config.site_dir, FOLDER, _file(name, language, theme))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(svg, "utf-8")


def _image(name: str, language: str, theme: str, alt: str, page_url: str) -> str:
    key = (language, name, theme)
    if key not in _drawn:
        svg = GALLERY[name](language=language, theme=theme).svg
        size = re.search(r'\bwidth="([\d.]+)"[^>]*?\bheight="([\d.]+)"', svg) or re.search(
            r'viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"', svg
        )
        assert size is not None, f"{name} has no size"
        _drawn[key] = (svg, f'width="{float(size[1]):.0f}" height="{float(size[2]):.0f}"')
    up = "../" * page_url.count("/")
    # The fragment is what the theme shows or hides by its colours.
    source = f"{up}{FOLDER}/{_file(name, language, theme)}#only-{theme}"
    return f'<img class="drawing" alt="{alt}" src="{source}" {_drawn[key][1]} loading="lazy">'


def _file(name: str, language: str, theme: str) -> str:
    return f"{language}/{name}-{theme}.svg"
