"""The site: both languages alike, every link leads somewhere, and it is built strictly without a network."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from support.doc_pages import FENCE, LANGUAGES, ROOT, name_of, pages

HEADING = re.compile(r"^(#+) .*?(\{#[\w-]+\})?$", re.MULTILINE)
SHOWN = re.compile(r"^(!\[\]\(picture:[\w-]+\)|@evidence[\w -]*|::: [\w.]+|\|[-| ]+\|)$", re.MULTILINE)
HAN = re.compile(r"[\u4e00-\u9fff]")
WHOLE_MODULES = {"convforge.nn.grad", "convforge.nn.init", "convforge.draw.blocks"}
# Pages whose text is in the other language, with the reason.
ENGLISH_ONLY = {"design/performance.md": "includes docs/performance.md, which is in English"}


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", page.read_text("utf-8"))


def places(language: str) -> list[str]:
    return [name_of(page).partition("/")[2] for page in pages(language)]


def test_both_languages_have_the_same_pages() -> None:
    assert places("en") == places("zh")
    assert len(places("en")) > 20


@pytest.mark.parametrize("place", places("en"))
def test_both_languages_are_built_alike(place: str) -> None:
    english, chinese = (prose(ROOT / "docs" / language / place) for language in LANGUAGES)
    for pattern in (HEADING, SHOWN):
        assert [f.groups() for f in pattern.finditer(english)] == [
            f.groups() for f in pattern.finditer(chinese)
        ]
    for pattern in (r"^- ", r"^\d+\. ", r"^\|.*\|$", r"\]\([^)]+\)"):
        counts = [len(re.findall(pattern, text, re.MULTILINE)) for text in (english, chinese)]
        assert counts[0] == counts[1], f"{pattern}: {counts}"


@pytest.mark.parametrize("place", places("en"))
def test_each_page_is_in_its_language(place: str) -> None:
    assert not HAN.search(prose(ROOT / "docs" / "en" / place))
    if place not in ENGLISH_ONLY:
        assert HAN.search(prose(ROOT / "docs" / "zh" / place))


def test_every_page_is_in_the_navigation() -> None:
    named = set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]))
    assert named == set(places("en"))


class Page(HTMLParser):
    """Where a page leads, what it loads, its anchors, and its headings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.pictures: list[dict[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in ("img", "script", "iframe", "source") and "src" in given:
            self.loads.append(given["src"])
        if tag == "link" and given.get("rel") != "alternate":
            self.loads.append(given.get("href", ""))
        if tag == "img":
            self.pictures.append(given)


@pytest.fixture(scope="module")
def built(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}


def targets(site: Path, path: Path, links: list[str]) -> Iterator[tuple[str, Path, str]]:
    """(link, file, fragment) of each link; 404.html alone is told its place by the server."""
    for link in links:
        if re.match(r"(https?|mailto|javascript):|#$", link) or path.name == "404.html":
            continue
        address, fragment = urldefrag(link)
        yield (
            link,
            Path(os.path.normpath(path.parent / unquote(address))) if address else path,
            unquote(fragment),
        )


def test_every_link_and_anchor_is_there(site: Path, built: dict[Path, Page]) -> None:
    broken = []
    for path, page in built.items():
        for link, file, fragment in targets(site, path, page.links):
            there = file in built and (
                not fragment or fragment in built[file].anchors or fragment == "__codelineno"
            )
            if not (there or (file.is_file() and not fragment)):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert not broken, broken[:20]
    assert sum(len(page.links) for page in built.values()) > 1000


def test_nothing_is_loaded_from_elsewhere(site: Path, built: dict[Path, Page]) -> None:
    for path, page in built.items():
        assert not [load for load in page.loads if re.match(r"(https?:)?//", load)], path
        assert not [link for link, file, _ in targets(site, path, page.loads) if not file.is_file()], path
    for style in site.rglob("*.css"):
        assert "url(http" not in style.read_text("utf-8").replace('"', ""), style
    assert "@import" not in (site / "styles" / "site.css").read_text("utf-8")


def test_every_drawing_is_there_in_both_colours_and_described(site: Path, built: dict[Path, Page]) -> None:
    seen: dict[str, set[str]] = {}
    for path, page in built.items():
        language = "zh" if path.relative_to(site).parts[0] == "zh" else "en"
        drawings = [picture for picture in page.pictures if picture.get("class") == "drawing"]
        for light, dark in zip(drawings[::2], drawings[1::2], strict=True):
            assert light["src"].endswith("-light.svg#only-light")
            assert dark["src"].endswith("-dark.svg#only-dark")
            assert f"assets/pictures/{language}/" in light["src"]
            assert light["alt"] == dark["alt"]
            assert bool(HAN.search(light["alt"])) == (language == "zh") or not re.search(
                r"[a-z]{4}", light["alt"]
            )
            seen.setdefault(language, set()).add(light["src"].rpartition("/")[2])
    assert seen["en"] == seen["zh"]
    assert len(seen["en"]) > 25
    for svg in (site / "assets" / "pictures").rglob("*.svg"):
        assert svg.read_text("utf-8").startswith("<svg")


def test_the_reference_names_functions_and_not_the_modules_that_are_called_alike() -> None:
    named = {
        identifier
        for page in pages("en")
        for identifier in re.findall(r"^::: ([\w.]+)$", page.read_text("utf-8"), re.MULTILINE)
    }
    modules = {
        identifier for identifier in named if (ROOT / "src" / f"{identifier.replace('.', '/')}.py").is_file()
    }
    assert modules == WHOLE_MODULES


def test_the_reference_has_what_it_names(site: Path, built: dict[Path, Page]) -> None:
    for page in pages("en"):
        place = name_of(page).partition("/")[2]
        for identifier in re.findall(r"^::: ([\w.]+)$", page.read_text("utf-8"), re.MULTILINE):
            for language in ("", "zh"):
                html = site / language / place.replace(".md", ".html")
                assert identifier in built[html].anchors, f"{html}: {identifier}"


def test_search_finds_both_languages_without_a_server(site: Path) -> None:
    script = (site / "search" / "search_index.js").read_text("utf-8")
    assert script.startswith("var __index = {")
    assert '"zh/tutorial/sizes.html' in script
    assert '"tutorial/sizes.html' in script
    assert "\u200b感受野\u200b" in script
