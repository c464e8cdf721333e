"""The page in a real browser: patches, files that are refused, and people who see little, use no mouse or have a small screen."""

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from playwright.sync_api import expect

from tests.support.browser import choose, chromium, drop, least_contrast, nameless, visiting
from tests.support.browser_pixels import percent
from tests.support.running import serving

FOREST, RIVER = "Forest/Forest_1000.jpg", "River/River_1000.jpg"
HOSTILE = "\"><img src=x onerror=alert(1)>'.tif"


@pytest.fixture(scope="module")
def window():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def served(window, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("patches") / "work", "--max-upload", "1M") as server:
        yield server


@pytest.fixture
def visit(window, served):
    with visiting(window, served) as visits:
        yield visits


@pytest.fixture(scope="module")
def patch(data, tmp_path_factory):
    """Writes a member of EuroSAT to a file."""
    folder = tmp_path_factory.mktemp("eurosat")

    def written(member):
        path = folder / Path(member).name
        with zipfile.ZipFile(data / "eurosat_rgb.zip") as archive:
            path.write_bytes(archive.read(member))
        return path

    return written


@pytest.fixture(scope="module")
def crop(data, tmp_path_factory):
    """Writes the corner of a scene to a file that is small enough."""
    folder = tmp_path_factory.mktemp("crops")

    def written(scene):
        with rasterio.open(data / "scenes" / scene) as source:
            side = rasterio.windows.Window(0, 0, 192, 192)
            profile = {**source.profile, "width": 192, "height": 192, "predictor": 2}
            path = folder / scene
            with rasterio.open(path, "w", **profile) as target:
                target.write(source.read(window=side))
                target.descriptions = source.descriptions
        assert path.stat().st_size < 1_000_000
        return path

    return written


def as_file(name, content, kind="image/tiff"):
    return {"name": name, "mimeType": kind, "buffer": content}


def show_patch(visit, path, **context):
    page = visit(**context)
    choose(page, path)
    expect(page.locator("#patch-title")).to_have_text(path.name)
    expect(page.locator("#patch-explanation [data-explanation-picture]")).to_have_js_property("complete", value=True)
    return page


def test_a_patch_gets_its_class_and_the_probability_of_each(visit, served, patch):
    path = patch(FOREST)
    answer = served.classify(path.read_bytes(), path.name).json
    assert answer["class"] == "Forest"
    page = show_patch(visit, path)
    expect(page.locator("#patch-class")).to_have_text("Forest")
    expect(page.locator("#patch-confidence")).to_have_text(f"Confidence {percent(answer['confidence'])}")
    expect(page.locator("#patch-ood-score")).to_have_text(f"OOD score {answer['ood_score']:.2f}")
    rows = page.locator("#probabilities tbody tr")
    texts = list(zip(rows.locator("th").all_inner_texts(), rows.locator(".number").all_inner_texts(), strict=True))
    assert texts == [(name, percent(share)) for name, share in answer["probabilities"].items()]
    expect(page.locator("#own-list .state")).to_have_text(f"Forest, {percent(answer['confidence'])}")


def test_the_picture_shown_is_the_patch(visit, patch):
    path = patch(FOREST)
    page = show_patch(visit, path)
    shown = page.locator("#patch-picture").evaluate("""(image) => {
        const canvas = Object.assign(document.createElement("canvas"), { width: image.naturalWidth, height: image.naturalHeight });
        const context = canvas.getContext("2d");
        context.drawImage(image, 0, 0);
        return [image.naturalWidth, ...context.getImageData(0, 0, canvas.width, canvas.height).data];
    }""")
    assert shown[0] == 64
    np.testing.assert_array_equal(
        np.reshape(shown[1:], (64, 64, 4))[..., :3], np.asarray(Image.open(path).convert("RGB"))
    )


def test_what_speaks_for_any_class_of_a_patch_is_shown(visit, patch):
    page = show_patch(visit, patch(FOREST))
    figure = page.locator("#patch-explanation figure")
    expect(figure.locator("figcaption strong")).to_contain_text("Forest")
    expect(figure.locator(".subtitle")).to_contain_text("What speaks for Forest")
    first = figure.locator("img").get_attribute("src")
    page.locator("#patch").get_by_label("Class", exact=True).select_option("River")
    expect(figure.locator(".subtitle")).to_contain_text("What speaks for River")
    picture = figure.locator("img")
    expect(picture).not_to_have_attribute("src", first)
    expect(picture).to_have_js_property("complete", value=True)
    assert picture.evaluate("(image) => image.naturalWidth") > 600
    assert "Forest_1000.jpg" in picture.get_attribute("alt")
    page.reload()
    expect(page.locator("#patch-class")).to_have_text("Forest")


def test_several_files_go_one_after_another(visit, patch):
    page = visit()
    drop(page, patch(FOREST), patch(RIVER))
    expect(page.locator("#own-list .state").filter(has_text=re.compile(r"^(Forest|River), "))).to_have_count(2)
    page.locator("#own-list a", has_text="River_1000.jpg").click()
    expect(page.locator("#patch-class")).to_have_text("River")
    page.go_back()
    expect(page.locator("#patch-class")).to_have_text("Forest")


def test_a_text_that_is_called_tif_is_refused(visit):
    visit.refused = {415}
    page = visit()
    choose(page, as_file("notes.tif", b"These are words, no pixels.\n" * 20))
    expect(page.locator(".alert .problem")).to_contain_text("notes.tif")
    expect(page.locator(".alert .remedy")).to_contain_text("GeoTIFF")
    expect(page.locator("#welcome")).to_be_visible()
    page.get_by_role("button", name="Dismiss").click()
    expect(page.locator(".alert")).to_have_count(0)


def test_a_truncated_file_is_refused_or_its_job_says_why_it_failed(visit, crop):
    visit.refused = {422}
    whole = crop("aquileia_20190416_l2a_12band.tif").read_bytes()
    page = visit()
    choose(page, as_file("half.tif", whole[: len(whole) // 2]))
    said = page.locator(".alert, #failure").filter(has=page.locator(".problem"))
    expect(said.locator(".problem")).to_contain_text("half.tif")
    expect(said.locator(".remedy")).not_to_be_empty()


def test_a_scene_without_the_bands_is_refused_with_a_remedy_and_may_be_sent_again(visit, crop):
    visit.refused = {422}
    page = visit()
    choose(page, crop("australia_20190105_l2a_10band.tif"))
    expect(page.locator(".alert .problem")).to_contain_text("lacks B12")
    expect(page.locator(".alert .remedy")).to_contain_text("bands")
    expect(page.get_by_label("Bands, in the order of the file")).to_be_visible()
    page.locator("#bands").fill("B02,B03")
    page.get_by_role("button", name="Send again").click()
    expect(page.locator(".alert .problem")).not_to_contain_text("lacks B12")
    assert visit.posted == ["classify"] * 2


def test_options_that_mended_one_file_are_not_those_of_the_next(visit, data):
    visit.refused = {422}
    with zipfile.ZipFile(data / "eurosat_ms.zip") as archive:
        name = next(member for member in archive.namelist() if member.endswith(".tif"))
        content = archive.read(name)
    page = visit()
    choose(page, as_file("ms.tif", content))
    expect(page.locator(".alert .problem")).to_contain_text("does not name its 13 bands")
    page.locator("#bands").fill("eurosat-ms")
    page.get_by_role("button", name="Send again").click()
    expect(page.locator("#patch-title")).to_have_text("ms.tif", timeout=30_000)
    assert page.locator("#bands").input_value() == ""


def test_files_that_are_refused_together_are_all_told(visit):
    visit.refused = {415}
    page = visit()
    page.locator("#file").set_input_files([as_file("one.tif", b"no image" * 9), as_file("two.tif", b"neither" * 9)])
    expect(page.locator(".alert .problem")).to_have_count(2)
    assert sorted(text[:7] for text in page.locator(".alert .problem").all_inner_texts()) == ["one.tif", "two.tif"]


def test_a_file_that_is_too_large_or_empty_is_not_sent(visit, data):
    page = visit()
    choose(page, data / "scenes" / "australia_20181201_l2a_12band.tif")
    expect(page.locator(".alert .problem")).to_contain_text("this server takes up to 1.0 MB")
    expect(page.locator(".alert .remedy")).to_contain_text("Cut the scene")
    choose(page, as_file("nothing.tif", b""))
    expect(page.locator(".alert .problem")).to_have_text("nothing.tif is empty.")
    assert visit.posted == []


def test_markup_in_a_file_name_stays_text(visit, patch):
    visit.refused = {415}
    page = visit()
    choose(page, as_file(HOSTILE, b"no image"))
    expect(page.locator(".alert .problem")).to_contain_text("<img src=x onerror=alert(1)>")
    choose(page, as_file(HOSTILE.replace(".tif", ".jpg"), patch(FOREST).read_bytes(), "image/jpeg"))
    expect(page.locator("#patch-title")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(page.locator("#own-list .name")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(page.locator("#patch-explanation img")).to_have_js_property("complete", value=True)
    page.reload()
    expect(page.locator("#patch-title")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(page.locator("img[src='x']")).to_have_count(0)


def test_the_file_button_is_reached_and_pressed_by_keyboard(visit, patch):
    page = visit()
    page.on("filechooser", lambda chooser: chooser.set_files(patch(FOREST)))
    expect(page.locator("#new-map")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator("#skip")).to_be_focused()
    expect(page.locator("#skip")).to_be_in_viewport()
    for _ in range(2):
        page.keyboard.press("Tab")
    expect(page.locator("#file")).to_be_focused()
    assert page.locator("#choose-file").evaluate("(label) => getComputedStyle(label).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.locator("#announcer")).to_have_text("Forest_1000.jpg: Forest.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_and_every_control_has_a_name(visit, patch, scheme):
    visit.refused = {415}
    page = visit(color_scheme=scheme)
    expect(page.locator("#new-map")).to_be_visible()
    page.get_by_text("Options").click()
    assert least_contrast(page) >= 4.5
    assert nameless(page) == []
    choose(page, patch(FOREST))
    expect(page.locator("#patch-explanation img")).to_be_visible()
    choose(page, as_file("notes.tif", b"words"))
    expect(page.locator(".alert")).to_be_visible()
    assert least_contrast(page) >= 4.5
    assert nameless(page) == []


def test_a_page_of_320_pixels_needs_no_scrolling_sideways_whatever_a_file_is_called(visit, patch):
    visit.refused = {415}
    page = visit(viewport={"width": 320, "height": 640})
    expect(page.locator("#welcome")).to_be_visible()
    page.get_by_text("Options").click()
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    name = "a_name_that_is_much_longer_than_the_page_is_wide_and_has_no_gaps"
    choose(page, as_file(f"{name}.jpg", patch(FOREST).read_bytes(), "image/jpeg"))
    expect(page.locator("#patch-explanation img")).to_be_visible()
    choose(page, as_file(f"{name}.tif", b"words"))
    expect(page.locator(".alert")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_bars_move_only_where_motion_is_welcome(visit, patch):
    for motion, time in (("reduce", "0s"), ("no-preference", "0.15s")):
        page = show_patch(visit, patch(FOREST), reduced_motion=motion)
        expect(page.locator("#probabilities .bar > span").first).to_have_css("transition-duration", time)


def test_the_description_for_programs_is_drawn_without_the_internet(visit):
    page = visit("docs")
    post = page.locator(".opblock-post", has=page.locator("[data-path='/classify']"))
    expect(post).to_be_visible()
    post.get_by_role("button").first.click()
    expect(post.locator(".parameters-container, .opblock-section-request-body").first).to_be_visible()
    page.get_by_role("link", name=re.compile("back to the maps")).click()
    expect(page.locator("#welcome")).to_be_visible()
