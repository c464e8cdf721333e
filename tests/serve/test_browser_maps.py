"""The page in a real browser: products named when the server was started, alone and compared."""

import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from playwright.sync_api import expect

from lulc.cli.main import cli
from lulc.io.product.areas import class_areas
from tests.support.browser import chromium, least_contrast, map_shown, nameless, settle, visiting
from tests.support.browser_pixels import Product, hover, look_at, percent, sample
from tests.support.running import serving

AQUILEIA = "aquileia_20190416_l2a_12band.tif"
BEFORE, AFTER, EAST, MOSAIC, PLAIN = "before.tif", "after.tif", "east.tif", "mosaic.tif", "plain.tif"
HOSTILE = "\"><img src=x onerror=alert(1)>'.tif"
TOP, LEFT, HEIGHT, WIDTH = 300, 100, 320, 360
STEP = 200  # the eastern map begins so many pixels farther east


pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture(scope="module")
def window():
    with chromium() as browser:
        yield browser


def flag_blocks(path):
    """Write blocks of clouds and shadows into a map's band."""
    with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as target:
        blocks = np.random.default_rng(3).choice(3, (HEIGHT // 8, WIDTH // 8))
        sky = np.where(target.read(1) == 255, 255, np.kron(blocks, np.ones((8, 8), int)))
        target.write(sky.astype(np.uint8), target.descriptions.index("clouds") + 1)


@pytest.fixture(scope="module")
def maps(window, data, tmp_path_factory):
    """Products that the command line has made of parts of a scene."""
    folder, scenes = tmp_path_factory.mktemp("maps"), tmp_path_factory.mktemp("scenes")

    def run(*words):
        done = CliRunner().invoke(cli, list(map(str, words)), catch_exceptions=False)
        assert done.exit_code == 0, done.output

    with rasterio.open(data / "scenes" / AQUILEIA) as source:

        def mapped(name, left, *options, turned=False, placed=True):
            place = rasterio.windows.Window(left, TOP, WIDTH, HEIGHT)
            profile = {**source.profile, "width": WIDTH, "height": HEIGHT, "transform": source.window_transform(place)}
            if not placed:
                del profile["transform"], profile["crs"]
            pixels = source.read(window=place)
            with rasterio.open(scenes / name, "w", **profile) as target:
                target.write(pixels[:, ::-1] if turned else pixels)
                target.descriptions = source.descriptions
            run("classify", "--quiet", *options, scenes / name, folder / name)

        mapped(BEFORE, LEFT)
        mapped(AFTER, LEFT, turned=True)  # another look of the same ground
        mapped(EAST, LEFT + STEP)
        mapped(PLAIN, LEFT, "--allow-no-georef", placed=False)
    flag_blocks(folder / AFTER)
    run("mosaic", "--quiet", folder / BEFORE, folder / EAST, folder / MOSAIC)
    (folder / HOSTILE).write_bytes((folder / BEFORE).read_bytes())
    return folder


@pytest.fixture(scope="module")
def served(maps, tmp_path_factory):
    named = [word for name in (BEFORE, AFTER, MOSAIC, PLAIN, HOSTILE) for word in ("--map", str(maps / name))]
    with serving(tmp_path_factory.mktemp("served") / "work", "--view-only", *named) as server:
        yield server


@pytest.fixture
def visit(window, served):
    with visiting(window, served) as visits:
        yield visits


def open_map(visit, name, **context):
    page = visit(**context)
    page.locator("#named-list a", has_text=re.compile(f"^{re.escape(name)}$")).click()
    map_shown(page, name)
    return page


def compare(page, name):
    page.get_by_label("With a second map").select_option(label=name)
    expect(page.locator("#divider")).to_be_visible()
    settle(page)


def line_of(page):
    """Where the divider is, pixels from the left of the window."""
    box = page.locator("#divider-line").bounding_box()
    return box["x"] + box["width"] / 2


def test_a_server_that_only_shows_takes_no_files(visit, served):
    page = visit()
    map_shown(page, BEFORE)
    expect(page.locator("#new-map")).to_be_hidden()
    expect(page.get_by_role("button", name="Choose a file")).to_have_count(0)
    expect(page.locator("#explain")).to_be_hidden()
    assert page.locator("#named-list .name").all_inner_texts() == [BEFORE, AFTER, MOSAIC, PLAIN, HOSTILE]
    assert served.classify(b"II*\0").status == 403


def test_either_side_of_the_divider_shows_its_own_map(visit, maps):
    before, after = Product(maps / BEFORE), Product(maps / AFTER)
    page = open_map(visit, BEFORE)
    look_at(page, before, middle := before.liveliest)
    compare(page, AFTER)
    both = before.inside_classes & after.inside_classes & (before.codes != after.codes)
    for keys in (0, 40):
        for _ in range(keys):
            page.locator("#swipe").press("ArrowRight")
        shown = sample(page, before, both, middle)
        left = shown.points[:, 0] < line_of(page)
        assert 20 < left.sum() < 180
        np.testing.assert_array_equal(shown.colors[left], before.colors_of(shown)[left])
        np.testing.assert_array_equal(shown.colors[~left], after.colors_of(shown)[~left])
    page.get_by_label("With a second map").select_option(label="None")
    expect(page.locator("#divider")).to_be_hidden()
    alone = sample(page, before, both, middle)
    np.testing.assert_array_equal(alone.colors, before.colors_of(alone))


@pytest.mark.parametrize("second", [False, True])
def test_clouds_are_drawn_over_the_classes(visit, maps, second):
    product = Product(maps / AFTER)
    with rasterio.open(maps / AFTER) as source:
        sky = source.read(source.descriptions.index("clouds") + 1)
    page = open_map(visit, BEFORE if second else AFTER)
    look_at(page, product, middle := product.liveliest)
    if second:
        compare(page, AFTER)
        page.locator("#swipe").fill("0")
    classes = sample(page, product, product.inside_classes, middle).colors.astype(float)
    page.get_by_label("Clouds and shadows").check()
    settle(page)
    shown = sample(page, product, product.inside_classes, middle)
    flags = sky[shown.rows, shown.cols]
    assert np.bincount(flags, minlength=3).min() > 20
    colors = np.array([(0, 0, 0), (255, 255, 255), (20, 20, 45)])[flags]
    opacity = np.array([0, 200, 170])[flags, None] / 255
    np.testing.assert_allclose(shown.colors, opacity * colors + (1 - opacity) * classes, atol=2)
    page.get_by_label("Clouds and shadows").uncheck()
    settle(page)
    np.testing.assert_array_equal(sample(page, product, product.inside_classes, middle).colors, classes)
    assert "clouds" not in page.locator("#layer option").evaluate_all("(all) => all.map((one) => one.value)")


def test_the_value_says_what_is_flagged(visit, maps):
    product = Product(maps / AFTER)
    with rasterio.open(maps / AFTER) as source:
        sky = source.read(source.descriptions.index("clouds") + 1)
    page = open_map(visit, AFTER)
    for code, said in ((1, "Flagged as cloud"), (2, "Flagged as shadow"), (0, None)):
        row, col = np.argwhere((sky == code) & product.inside_classes)[50]
        look_at(page, product, (int(row), int(col)))
        page.locator("#value-centre").click()
        expect(page.locator("[data-value='class']")).to_have_text(product.name(product.codes[row, col]))
        flagged = page.locator("[data-value='flagged']")
        if said:
            expect(flagged).to_have_text(said)
        else:
            expect(flagged).to_have_count(0)


def test_the_divider_is_moved_by_keyboard_and_pointer_and_the_map_stays(visit):
    page = open_map(visit, BEFORE)
    compare(page, AFTER)
    slider = page.get_by_role("slider", name=re.compile(f"Divider between A, {BEFORE}.* and B, {AFTER}"))
    slider.focus()
    middle = line_of(page)
    page.keyboard.press("End")
    assert line_of(page) > middle + 250
    page.keyboard.press("Home")
    assert line_of(page) < middle - 250
    expect(slider).to_have_attribute("aria-valuetext", "0 % of the width shows A")
    centre = page.evaluate("window.lulc.map.getCenter()")
    box = page.locator("#map").bounding_box()
    page.mouse.move(line_of(page), box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    assert line_of(page) == pytest.approx(box["x"] + 200, abs=6)
    assert page.evaluate("window.lulc.map.getCenter()") == centre


def test_a_comparison_says_values_and_areas_of_both_and_is_kept_in_the_address(visit, maps):
    before, after = Product(maps / BEFORE), Product(maps / AFTER)
    page = open_map(visit, BEFORE)
    look_at(page, before, before.liveliest)
    compare(page, AFTER)
    row, col = before.liveliest
    hover(page, before.place(row, col + 15))
    expect(page.locator("#value-body h4")).to_have_text([f"A: {BEFORE}", f"B: {AFTER}"])
    names = [product.name(product.codes[row, col + 15]) for product in (before, after)]
    expect(page.locator("[data-value=class]")).to_have_text(names)
    for one, other in zip(class_areas(before.path), class_areas(after.path), strict=True):
        cells = page.locator(f"tr[data-code='{one.code}'] td.number")
        expect(cells).to_have_text([area(one.hectares), area(other.hectares), change(other.hectares - one.hectares)])
    page.reload()
    expect(page.locator("#divider")).to_be_visible()
    expect(page.locator("#right-name")).to_have_text(f"B: {AFTER}")


def test_a_comparison_counts_ground_that_both_have(visit, maps):
    before, mosaic = Product(maps / BEFORE), Product(maps / MOSAIC)
    page = open_map(visit, BEFORE)
    compare(page, MOSAIC)
    both = (before.codes != 255) & (mosaic.codes[:, :WIDTH] != 255)
    assert both.sum() < (mosaic.codes != 255).sum()
    pixel_ha = class_areas(before.path)[0].hectares / class_areas(before.path)[0].pixels
    for code in (1, 5):
        cell = page.locator(f"tr[data-code='{code}'] td.number").nth(1)
        hectares = (mosaic.codes[:, :WIDTH][both] == code).sum() * pixel_ha
        expect(cell).not_to_have_text("\N{HORIZONTAL ELLIPSIS}")
        assert float(cell.inner_text().replace(",", "")) == pytest.approx(hectares, abs=1.5, rel=1e-3)
    expect(page.locator("#legend-body [role=status]")).to_contain_text(
        "Only ground where both maps have data is counted"
    )
    expect(page.locator("#legend-body [role=status]")).to_contain_text("of the data of B")


def area(hectares):
    if hectares == 0:
        return "0"
    return "< 1" if hectares < 0.5 else f"{hectares:,.0f}"


def change(hectares):
    sign = "+" if hectares > 0 else "\N{MINUS SIGN}"
    return "0" if abs(hectares) < 0.5 else f"{sign}{abs(hectares):,.0f}"


def test_a_mosaic_says_which_map_a_value_is_from(visit, maps):
    mosaic = Product(maps / MOSAIC)
    with rasterio.open(maps / MOSAIC) as source:
        sources = source.read(source.descriptions.index("source") + 1)
        sure = source.read(source.descriptions.index("confidence") + 1)
    page = open_map(visit, MOSAIC)
    for number, name in ((1, BEFORE), (2, EAST)):
        rows, cols = np.nonzero(sources == number)
        row, col = int(rows[rows.size // 2]), int(np.median(cols[rows == rows[rows.size // 2]]))
        look_at(page, mosaic, (row, col))
        hover(page, mosaic.place(row, col))
        expect(page.locator("[data-value=place]")).to_contain_text(f"row {row}, column {col}")
        expect(page.locator("[data-value=source]")).to_have_text(f"From {name}")
        expect(page.locator("[data-value=confidence]")).to_have_text(f"Confidence {percent(sure[row, col] / 250)}")
    shown = sample(page, mosaic, mosaic.inside_classes, (row, col))
    np.testing.assert_array_equal(shown.colors, mosaic.colors_of(shown))


def test_a_map_without_a_place_is_shown_pixel_by_pixel(visit, maps):
    product = Product(maps / PLAIN)
    zoom = 1  # 360 pixels are two tiles
    page = open_map(visit, PLAIN)
    look_at(page, product, middle := product.liveliest, max_zoom=zoom)
    shown = sample(page, product, product.codes != 255, middle, max_zoom=zoom)
    np.testing.assert_array_equal(shown.colors, product.colors_of(shown))
    row, col = int(shown.rows[0]), int(shown.cols[0])
    hover(page, product.place(row, col, zoom))
    expect(page.locator("[data-value=place]")).to_have_text(f"row {row}, column {col}")
    expect(page.locator("[data-value=class]")).to_have_text(product.name(product.codes[row, col]))
    expect(page.locator("#legend-body thead")).to_contain_text("Pixels")
    counted = [f"{area.pixels:,}" for area in class_areas(product.path)]
    expect(page.locator("#legend-body tbody tr td:nth-child(2)")).to_have_text(counted)
    page.get_by_label("With a second map").select_option(label=BEFORE)
    expect(page.locator("#compare-note")).to_contain_text("cannot lie on one another")
    expect(page.locator("#divider")).to_be_hidden()


def test_markup_in_the_name_of_a_map_stays_text(visit):
    page = open_map(visit, HOSTILE)
    compare(page, AFTER)
    expect(page.locator("#left-name")).to_have_text(f"A: {HOSTILE}")
    page.locator("#map").focus()
    page.keyboard.press("v")
    expect(page.locator("#announcer")).to_contain_text(HOSTILE)
    expect(page.locator("img[src='x']")).to_have_count(0)


def test_a_report_of_a_map_is_made_on_demand(visit):
    page = open_map(visit, BEFORE)
    page.get_by_role("button", name="Make a report").click()
    expect(page.locator("#report-list li").first).to_be_visible()
    with page.expect_download() as download:
        page.locator("#report-list a").first.click()
    assert Path(download.value.path()).stat().st_size > 10_000


def test_a_map_is_read_by_keyboard_alone(visit, maps):
    product = Product(maps / BEFORE)
    page = visit()
    map_shown(page, BEFORE)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#stage")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#map")).to_be_focused()
    before = page.evaluate("window.lulc.map.getCenter().lng")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("window.lulc.map.getCenter().lng") > before
    zoom = page.evaluate("window.lulc.map.getZoom()")
    page.keyboard.press("+")
    assert page.evaluate("window.lulc.map.getZoom()") == zoom + 1
    row, col = product.liveliest
    look_at(page, product, (row, col))
    page.keyboard.press("v")
    expect(page.locator("#announcer")).to_contain_text(f"{product.name(product.codes[row, col])}, confidence")
    expect(page.locator("#announcer")).to_contain_text(f"row {row}, column {col}")
    expect(page.locator("#crosshair")).to_be_visible()
    expect(page.locator("#value-title")).to_have_text("Value at the centre")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_and_every_control_has_a_name(visit, scheme):
    page = open_map(visit, BEFORE, color_scheme=scheme)
    compare(page, AFTER)
    page.get_by_label("On the map").select_option("confidence")
    page.locator("#map").focus()
    page.keyboard.press("v")
    expect(page.locator(".value-block")).to_have_count(2)
    page.get_by_text("About this map", exact=True).click()
    assert least_contrast(page) >= 4.5
    assert nameless(page) == []


@pytest.mark.parametrize("width", [320, 390])
def test_a_narrow_page_has_the_map_first_and_needs_no_scrolling_sideways(visit, width):
    page = open_map(visit, BEFORE, viewport={"width": width, "height": 700})
    compare(page, HOSTILE)
    page.get_by_text("About this map", exact=True).click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    tops = [page.locator(f"#{part}").bounding_box()["y"] for part in ("stage", "panel", "library")]
    assert tops == sorted(tops)


def test_the_map_moves_only_where_motion_is_welcome(visit):
    for motion, moves in (("reduce", False), ("no-preference", True)):
        page = open_map(visit, BEFORE, reduced_motion=motion)
        options = page.evaluate(
            "(({ zoomAnimation, fadeAnimation, inertia }) => [zoomAnimation, fadeAnimation, inertia])(window.lulc.map.options)"
        )
        assert options == [moves] * 3
        pressed, settled = page.evaluate("""() => {
            const { map } = window.lulc;
            const settled = new Promise((done) => map.once("moveend", () => done(map.getCenter().lng)));
            map.getContainer().focus();
            map.getContainer().dispatchEvent(new KeyboardEvent("keydown", { keyCode: 39, bubbles: true }));
            const pressed = map.getCenter().lng;
            return settled.then((lng) => [pressed, lng]);
        }""")
        assert (pressed == settled) is not moves  # at once, or on its way
