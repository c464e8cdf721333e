"""The page in a real browser: a real scene from the file to its map, every pixel of it, and what can be asked of it."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
from playwright.sync_api import expect

from lulc.io.figures.color_ramps import fraction_palette, heat_palette, ramp_colors
from lulc.io.product.areas import class_areas
from tests.support.browser import Still, choose, chromium, drop, job_of, map_shown, settle, visiting
from tests.support.browser_pixels import Product, hover, look_at, percent, sample
from tests.support.running import LULC, serving

AQUILEIA = "aquileia_20190416_l2a_12band.tif"
ABER = "aber_s2_20210527_10band.tif"
BANDS = [2, 3, 4, 5, 6, 7, 8, 11, 12]
_RING = 12
"""Pixels of the product that the ring around an explained place reaches at most."""


@pytest.fixture(scope="module")
def window():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def served(window, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("scenes") / "work", "--queue", "1") as server:
        yield server


@pytest.fixture
def visit(window, served):
    with visiting(window, served) as visits:
        yield visits


@dataclass
class Sent:
    """A scene that was chosen on the page, what the page said until its map was there, and the product it gave."""

    job: str
    heard: list[str]
    shares: list[float]
    product: Product


@pytest.fixture(scope="module")
def sent(window, served, data, tmp_path_factory):
    with visiting(window, served) as visits:
        page = visits(accept_downloads=True)
        slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 16_000_000}
        page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow)
        page.evaluate("""() => {
            const [text, bar] = ["progress-text", "progress"].map((id) => document.getElementById(id));
            window.heard = [];
            new MutationObserver(() => window.heard.push([text.textContent, bar.position])).observe(text, { childList: true });
        }""")
        choose(page, data / "scenes" / AQUILEIA)
        expect(page.get_by_role("progressbar", name=AQUILEIA)).to_be_visible()
        map_shown(page, AQUILEIA)
        heard = page.evaluate("window.heard")
        with page.expect_download() as download:
            page.get_by_role("link", name="Map (GeoTIFF)").click()
        assert download.value.suggested_filename == f"{Path(AQUILEIA).stem}-map.tif"
        path = tmp_path_factory.mktemp("downloads") / "map.tif"
        download.value.save_as(path)
        texts, shares = zip(*heard, strict=True)
        return Sent(job_of(page), list(texts), list(shares), Product(path))


@pytest.fixture(scope="module")
def tall(data, tmp_path_factory):
    """Three scenes under one another: a job long enough to be looked at in its middle."""
    with rasterio.open(data / "scenes" / AQUILEIA) as source:
        pixels, names = (
            np.tile(source.read([source.descriptions.index(f"B{band:02}") + 1 for band in BANDS]), (1, 3, 1)),
            BANDS,
        )
        profile = {**source.profile, "count": len(BANDS), "height": pixels.shape[1], "predictor": 2}
    path = tmp_path_factory.mktemp("tall") / "tall.tif"
    with rasterio.open(path, "w", **profile) as target:
        target.write(pixels)
        target.descriptions = [f"B{band:02}" for band in names]
    return path


def open_map(visit, sent):
    """The map of the scene that was sent, its liveliest part in the middle."""
    page = visit(f"#job={sent.job}")
    map_shown(page, AQUILEIA)
    middle = sent.product.liveliest
    look_at(page, sent.product, middle)
    return page, middle


def test_sending_and_classifying_are_seen_until_the_map_is_there(sent):
    sending = [text for text in sent.heard if re.fullmatch(r"Sending, \d+ %", text)]
    assert sending
    assert sending == sorted(sending, key=lambda text: int(text.split()[1]))
    assert any(0 < share < 1 for share in sent.shares)
    assert "Starting" in sent.heard
    assert not any(text.startswith("Starting,") for text in sent.heard)  # nothing is done while it starts


def test_the_product_is_the_one_that_lulc_classify_writes(sent, data, tmp_path):
    subprocess.run([LULC, "classify", "--quiet", data / "scenes" / AQUILEIA, tmp_path / "map.tif"], check=True)
    assert sent.product.path.read_bytes() == (tmp_path / "map.tif").read_bytes()


def test_classes_have_their_colors_over_the_ground_where_they_are(visit, sent):
    product = sent.product
    page, middle = open_map(visit, sent)
    shown = sample(page, product, product.inside_classes, middle, count=400)
    np.testing.assert_array_equal(shown.colors, product.colors_of(shown))
    assert len(np.unique(shown.colors, axis=0)) >= 5


def test_the_legend_says_colors_and_areas_of_the_product(visit, sent):
    page = visit(f"#job={sent.job}")
    areas = class_areas(sent.product.path)
    assert sum(area.hectares for area in areas) > 1000  # the page then rounds to whole hectares
    expect(page.locator("#legend-body [data-total]")).to_contain_text(f"{sum(area.hectares for area in areas):,.0f}")
    for area in areas:
        row = page.locator(f"#legend-body tr[data-code='{area.code}']")
        few = 0 < area.hectares < 0.5
        hectares = "< 1" if few else f"{area.hectares:,.0f}"
        assert row.locator("th, td.number").all_inner_texts() == [area.name, hectares, percent(area.share)]
        red, green, blue = sent.product.color(area.code)
        expect(row.locator(".swatch")).to_have_css("background-color", f"rgb({red}, {green}, {blue})")


@pytest.mark.parametrize("layer", ["confidence", "activation-1", "activation-5"])
def test_shares_have_the_colors_of_the_ramp(visit, sent, layer):
    product = sent.product
    page, middle = open_map(visit, sent)
    expect(page.locator("#ramp")).to_be_hidden()
    if layer == "confidence":
        page.locator("#layer").select_option(layer)
        stored, title = product.confidence, "Confidence"
    else:
        code = int(layer.removeprefix("activation-"))
        page.locator(f"[data-activation='{code}']").click()
        stored, title = product.activations[code - 1], f"Activation of {product.name(code)}"
    look_at(page, sent.product, middle)
    shown = sample(page, product, product.codes != 255, middle)
    steps = stored[shown.rows, shown.cols]
    assert len(np.unique(steps)) > 20
    np.testing.assert_array_equal(shown.colors, fraction_palette()[steps, :3])
    expect(page.locator("#ramp-title")).to_have_text(title)
    colors = page.locator("#ramp-bar").evaluate("(bar) => getComputedStyle(bar).backgroundImage")
    numbers = [tuple(map(int, color)) for color in re.findall(r"rgb\((\d+), (\d+), (\d+)\)", colors)]
    assert ["#{:02x}{:02x}{:02x}".format(*number) for number in numbers] == ramp_colors(11)


def test_opacity_mixes_the_map_with_the_scene_beneath(visit, sent):
    product = sent.product
    page, middle = open_map(visit, sent)
    inside = product.inside_classes
    whole = sample(page, product, inside, middle).colors.astype(float)
    page.locator("#opacity").fill("0")
    scene = sample(page, product, inside, middle).colors.astype(float)
    assert np.unique(scene, axis=0).shape[0] > 100  # true colour has many
    page.locator("#opacity").fill("50")
    np.testing.assert_allclose(sample(page, product, inside, middle).colors, (whole + scene) / 2, atol=2)


def test_the_value_under_the_pointer_is_that_of_the_product(visit, sent):
    product = sent.product
    page, middle = open_map(visit, sent)
    shown = sample(page, product, product.codes != 255, middle, count=8)
    for row, col in zip(shown.rows, shown.cols, strict=True):
        hover(page, product.place(row, col))
        expect(page.locator("[data-value=place]")).to_contain_text(f"row {row}, column {col}")
        expect(page.locator("#value-title")).to_have_text("Value under the pointer")
        expect(page.locator("[data-value=class]")).to_have_text(product.name(product.codes[row, col]))
        expect(page.locator("[data-value=confidence]")).to_have_text(
            f"Confidence {percent(product.confidence[row, col] / 250)}"
        )
        steps = product.activations[:, row, col].astype(int)
        strongest = sorted(range(len(steps)), key=lambda at: -steps[at])[:5]
        expected = [(product.legend.classes[at].name, percent(steps[at] / 250)) for at in strongest]
        rows = page.locator("#value-body .bars li")
        assert (
            list(zip(rows.locator(".name").all_inner_texts(), rows.locator(".number").all_inner_texts(), strict=True))
            == expected
        )


def test_a_clicked_place_is_explained_on_the_map_and_beside_it(visit, sent):
    product = sent.product
    page, middle = open_map(visit, sent)
    inside = product.inside_classes
    spot = sample(page, product, inside, middle, count=1)
    page.locator("#explain-toggle").click()
    expect(page.locator("#explain-status")).to_contain_text("Click a place")
    page.mouse.click(*(spot.points[0] + 0.5))
    name = product.name(product.codes[spot.rows[0], spot.cols[0]])
    expect(page.locator("#explain-status")).to_have_text(f"Explained: {name}.")
    figure = page.locator("#explain-answer figure")
    expect(figure.locator("figcaption strong")).to_contain_text(name)
    picture = figure.locator("[data-explanation-picture]")
    expect(picture).to_have_js_property("complete", value=True)
    assert picture.evaluate("(image) => image.naturalWidth") > 600
    assert AQUILEIA in picture.get_attribute("alt")
    with page.expect_download() as download:
        figure.get_by_role("link", name="Heat map (GeoTIFF)").click()
    expect(page.locator("#map .heat .leaflet-tile-loaded").first).to_be_attached()
    settle(page)
    beside = inside.copy()
    beside[spot.rows[0] - _RING : spot.rows[0] + _RING, spot.cols[0] - _RING : spot.cols[0] + _RING] = False
    hot = sample(page, product, beside, middle)
    np.testing.assert_allclose(hot.colors, heated(product, hot, download.value.path()), atol=3)
    assert off_legend(product, hot) > 0.1
    page.locator("#heat-on").uncheck()
    expect(page.locator("#map .heat")).to_have_count(0)
    assert off_legend(product, sample(page, product, beside, middle)) == 0


def heated(product, shown, path):
    """Class colours with the heat of a file laid over them as the page does."""
    with rasterio.open(path) as source:
        places = product.places(shown.rows, shown.cols)
        heat = np.array([pixel[0] for pixel in source.sample([(lon, lat) for lat, lon in places])])
    laid = heat_palette()[np.where(heat >= 0, np.round(np.nan_to_num(heat) * 254), 255).astype(int)]
    opacity = 0.85 * laid[:, 3:] / 255
    return product.colors_of(shown) * (1 - opacity) + laid[:, :3] * opacity


def off_legend(product, shown):
    return np.any(shown.colors != product.colors_of(shown), axis=1).mean()


def test_a_dropped_scene_is_mapped_with_the_options_given_and_kept_until_it_is_removed(visit, served, data, tmp_path):
    visit.refused = {404}
    page = visit()
    page.get_by_text("Options").click()
    page.get_by_label("Quantification").fill("1000")
    drop(page, data / "scenes" / ABER)
    expect(page.locator("#progress-title")).to_have_text(ABER)
    expect(page.locator("#announcer")).to_contain_text("the map is ready")
    map_shown(page, ABER)
    job, path = job_of(page), tmp_path / "map.tif"
    path.write_bytes(served.get(f"/jobs/{job}/files/map.tif").body)
    with rasterio.open(path) as made:
        assert made.tags()["LULC_QUANTIFICATION"] == "1000 (option)"
    product = Product(path)
    middle = product.liveliest
    look_at(page, product, middle)
    shown = sample(page, product, product.inside_classes, middle)  # a grid that is turned against that of the tiles
    np.testing.assert_array_equal(shown.colors, product.colors_of(shown))
    assert len(np.unique(shown.colors, axis=0)) >= 4
    page.get_by_role("button", name=f"Remove {ABER}").click()
    expect(page.get_by_role("dialog")).to_contain_text(f"Remove {ABER} and its files from the server?")
    page.keyboard.press("Escape")
    expect(page.locator("#own-list li")).to_have_count(1)
    page.get_by_role("button", name=f"Remove {ABER}").click()
    page.locator("#confirm-yes").click()
    expect(page.locator("#own-list li")).to_have_count(0)
    expect(page.locator("#announcer")).to_have_text(f"{ABER} is removed.")
    expect(page.locator("#welcome")).to_be_visible()
    assert served.get(f"/jobs/{job}").status == 404
    again = visit.tab(page.context, f"#job={job}")
    expect(again.locator("#progress-text")).to_have_text("No longer kept")


def test_reloads_and_other_windows_go_on_with_a_running_job(visit, served, tall):
    with Still(served) as still:
        page = visit()
        drop(page, tall)
        job = job_of(page)
        percents = still.stop_halfway(job)
        told = f"Classifying, {percents} %"
        expect(page.locator("#progress-text")).to_have_text(told)
        page.reload()
        tab, stranger = visit.tab(page.context, f"#job={job}"), visit(f"#job={job}")
        for each in (page, tab, stranger):
            expect(each.locator("#progress-text")).to_have_text(told)
            share = each.get_by_role("progressbar", name="tall.tif").evaluate("(bar) => bar.position")
            assert share == pytest.approx(percents / 100, abs=0.01)
            expect(each.locator(f"[data-entry='job:{job}'] .state")).to_have_text(told)
    for each in (page, tab, stranger):
        map_shown(each, "tall.tif")
        assert job_of(each) == job
    page.goto(visit.origin)
    map_shown(page, "tall.tif")  # remembered without its address


def test_a_running_job_can_be_cancelled(visit, served, tall):
    with Still(served) as still:
        page = visit()
        drop(page, tall)
        job = job_of(page)
        still.stop()
        page.locator("#cancel").click()
        expect(page.locator("#own-list li")).to_have_count(0)
        expect(page.locator("#announcer")).to_have_text("tall.tif is cancelled.")
        expect(page.locator("#welcome")).to_be_visible()
    assert served.get(f"/jobs/{job}").json["state"] == "cancelled"


def test_a_full_queue_is_tried_again_until_there_is_room(visit, served, tall):
    visit.refused = {503}
    with Still(served) as still:
        page = visit()
        page.clock.install()
        page.reload()
        drop(page, tall)
        first = job_of(page)
        still.stop()
        drop(page, tall)
        expect(page.locator("#progress-text")).to_have_text("In the queue, 1 job before it")
        second = job_of(page)
        drop(page, tall)
        expect(page.locator("#progress-text")).to_have_text("Trying again in 30 s (try 2)")
        expect(page.locator("#progress-note")).to_contain_text("waiting")
        page.clock.fast_forward(31_000)
        expect(page.locator("#progress-text")).to_have_text("Trying again in 30 s (try 3)")
        page.locator(f"[data-remove='job:{second}']").click()
        expect(page.locator("#own-list li")).to_have_count(2)
        page.clock.fast_forward(31_000)
        expect(page.locator("#progress-text")).to_have_text("In the queue, 1 job before it")
        for job in (first, job_of(page)):
            served.remove(job)
