"""The page's files: nothing from elsewhere, nothing inline, all that they name is there, what is not ours has its licence."""

import re

import pytest

from lulc.serve.app import STATIC

VENDORED = {"leaflet": "LICENSE", "swagger-ui": "LICENSE"}
OWN = sorted(path for path in STATIC.rglob("*") if path.is_file() and path.relative_to(STATIC).parts[0] not in VENDORED)
PAGES = [path for path in OWN if path.suffix == ".html"]
NAMESPACES = ("http://www.w3.org/",)


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_nothing_is_fetched_from_elsewhere(path):
    found = re.findall(r"(?:https?:)?//[\w.-]+\.[a-z]{2,}[^\s\"'`)]*", path.read_text(encoding="utf-8"))
    assert [address for address in found if not address.startswith(NAMESPACES)] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_hold_no_script_or_style_themselves(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_what_is_named_is_there(path):
    text = path.read_text(encoding="utf-8")
    named = re.findall(r"""(?:src|href)="(/static/[^"]+)"|from "(\./[^"]+)"|url\("?([\w./-]+)"?\)""", text)
    for address, module, picture in named:
        target = STATIC / address.removeprefix("/static/") if address else path.parent / (module or picture)
        assert target.is_file(), f"{path.name} names {target}"


@pytest.mark.parametrize("path", [path for path in OWN if path.suffix == ".js"], ids=lambda path: path.name)
def test_elements_that_scripts_look_for_exist(path):
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    scripts = "".join(script.read_text(encoding="utf-8") for script in OWN if script.suffix == ".js")
    for name in re.findall(r"""byId\("([\w-]+)"\)""", path.read_text(encoding="utf-8")):
        assert f'id="{name}"' in pages or f'id: "{name}"' in scripts, f"{path.name} looks for #{name}"


@pytest.mark.parametrize("path", [path for path in OWN if path.suffix == ".js"], ids=lambda path: path.name)
def test_scripts_are_used_stay_short_and_write_no_markup(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 350
    assert "innerHTML =" not in text
    assert "insertAdjacentHTML" not in text
    others = "".join(other.read_text(encoding="utf-8") for other in OWN if other != path)
    assert path.name in others, f"nobody uses {path.name}"


def test_what_is_not_ours_has_its_licence():
    folders = {path.name for path in STATIC.iterdir() if path.is_dir()}
    assert folders == set(VENDORED)
    for folder, licence in VENDORED.items():
        assert (STATIC / folder / licence).stat().st_size > 500
    for path in STATIC.rglob("*.js"):
        assert "sourceMappingURL" not in path.read_text(encoding="utf-8")[-300:]
