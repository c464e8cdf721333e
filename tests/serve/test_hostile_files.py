"""Files that nobody should have to open: each is refused or classified, in time, and nothing else happens."""

import math

import pytest

from tests.support.hostile_files import (
    BITS,
    COMPRESSION,
    EXTRA,
    FORMAT,
    GDAL_METADATA,
    GDAL_NODATA,
    GEO_KEYS,
    GEO_TEXT,
    HEIGHT,
    PHOTOMETRIC,
    PIXEL_SCALE,
    ROWS_PER_STRIP,
    SAMPLES,
    STRIP_BYTES,
    STRIP_OFFSETS,
    TIE_POINT,
    TILE_BYTES,
    TILE_HEIGHT,
    TILE_OFFSETS,
    TILE_WIDTH,
    TRANSFORM,
    UNDEFINED,
    WIDTH,
    XMP,
    chunk,
    deep_png,
    deflate_bomb,
    directory_loop,
    double,
    entity_bomb,
    geo_keys,
    huge_tag,
    image_tags,
    long,
    lying,
    many_directories,
    many_entries,
    many_samples,
    many_scans,
    nested_xml,
    pickled,
    picture,
    plain,
    png,
    png_bomb,
    short,
    text,
    tiff,
    vrt,
    wide_jpeg,
    wide_pixels,
    with_metadata,
    with_overviews_at,
    zeros,
    zip_of,
    zipped_twice,
)
from tests.support.running import Watch, check_text, refused

pytestmark = pytest.mark.serial
NINE = {"as": "scene", "allow_no_georef": "true", "bands": "B02,B03,B04,B05,B06,B07,B08,B11,B12"}
_GROWN_BYTES = 500 << 20
_SOON_S = 10


def colors(more=None):
    """A patch that would be classified, with more tags or other ones."""
    return plain(128, 3, 8, {PHOTOMETRIC: short(2)} | (more or {}))


def nine(more=None, side=64):
    """A scene that would be classified, with more tags or other ones."""
    return plain(side, 9, 16, {EXTRA: short(*[0] * 8)} | (more or {}))


def items(names):
    return f"<GDALMetadata>{''.join(f'<Item name={name!r}>b</Item>' for name in names)}</GDALMetadata>"


def tiled(side, tile):
    tags = {tag: what for tag, what in image_tags(side).items() if tag not in {STRIP_OFFSETS, STRIP_BYTES}}
    sizes = {TILE_WIDTH: long(tile), TILE_HEIGHT: long(tile), TILE_OFFSETS: long(8), TILE_BYTES: long(100)}
    return tiff({**tags, **sizes}, bytes(1000))


BOMBS = {
    "png of 2^31": lambda: png(2**31 - 1, 2**31 - 1, zeros(1000)),
    "png of 20,000": lambda: png_bomb(20_000),
    "16-bit png of 60,000": lambda: png(60_000, 60_000, zeros(1000), depth=16),
    "text in a png": lambda: png(64, 64, zeros(64 * 193), before=[chunk(b"zTXt", b"a\0\0" + zeros(200 << 20))]),
    "profile in a png": lambda: png(64, 64, zeros(64 * 193), before=[chunk(b"iCCP", b"a\0\0" + zeros(200 << 20))]),
    "jpeg of 65,535": wide_jpeg,
    "jpeg of 20,000 scans": lambda: many_scans(20_000),
    "tiff of 2^31": lambda: lying({WIDTH: long(2**31 - 1), HEIGHT: long(2**31 - 1)}),
    "tiff of 2^32": lambda: lying({WIDTH: long(2**32 - 1), HEIGHT: long(2**32 - 1)}),
    "tiff of 30,000": lambda: lying({WIDTH: long(30_000), HEIGHT: long(30_000), ROWS_PER_STRIP: long(1)}),
    "tiff of one column": lambda: lying({WIDTH: long(1), HEIGHT: long(2**31 - 1), ROWS_PER_STRIP: long(1)}),
    "tiff of one row": lambda: lying({WIDTH: long(2**31 - 1), HEIGHT: long(1), ROWS_PER_STRIP: long(1)}),
    "tiff of 65,535 bands": lambda: lying({SAMPLES: short(65_535)}),
    "tiff of 65,000 planes": lambda: many_samples(65_000),
    "tiff of 512 bands": lambda: many_samples(512),
    "tiles of 2^31": lambda: tiled(128, 2**31 - 16),
    "tiles of 65,520": lambda: tiled(128, 65_520),
    "far too few tiles": lambda: tiled(30_000, 16),
    "strip a thousand times too long": lambda: deflate_bomb(128, 3, 8, 1000),
    "blocks of 2 GB": wide_pixels,
    "directory loop": directory_loop,
    "30,000 directories": lambda: many_directories(30_000),
    "65,535 entries": many_entries,
    "tag of 4 GB": huge_tag,
    "entities in metadata": lambda: with_metadata(entity_bomb()),
    "entities in xmp": lambda: plain(more={XMP: (UNDEFINED, entity_bomb().encode())}),
    "deep metadata": lambda: with_metadata(nested_xml()),
    "long metadata": lambda: with_metadata(items(["a"] * 1_500_000)),
    "many metadata": lambda: with_metadata(items(f"a{number}" for number in range(100_000))),
}
ELSE = {
    "vrt": lambda: vrt("/etc/hostname"),
    "gif": lambda: picture("GIF", "P"),
    "bmp": lambda: picture("BMP"),
    "webp": lambda: picture("WEBP"),
    "svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "html": lambda: b"<!doctype html><script>alert(1)</script>" + bytes(100),
    "pdf": lambda: b"%PDF-1.7\n" + bytes(100),
    "zip": zip_of,
    "gzip": zipped_twice,
    "pickle": pickled,
    "jpeg 2000": lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100),
    "hfa": lambda: b"EHFA_HEADER_TAG\0" + bytes(100),
    "elf": lambda: b"\x7fELF" + bytes(100),
    "text": lambda: b"hello",
    "nothing": lambda: b"",
    "one byte": lambda: b"I",
}
DAMAGED = {
    **{
        f"{kind} and noise": lambda magic=magic: magic + bytes(range(256)) * 16
        for kind, magic in {
            "tiff": b"II*\0",
            "big-endian tiff": b"MM\0*",
            "bigtiff": b"II+\0",
            "big-endian bigtiff": b"MM\0+",
            "jpeg": b"\xff\xd8\xff",
            "png": b"\x89PNG\r\n\x1a\n",
        }.items()
    },
    **{f"tiff cut at {end}": lambda end=end: colors()[:end] for end in (4, 8, 5000, 49_170, -100)},
    **{f"jpeg cut at {end}": lambda end=end: picture("JPEG")[:end] for end in (4, 300, 1500)},
    "progressive jpeg, cut": lambda: picture("JPEG", side=256, progressive=True)[:3000],
    "png cut": lambda: picture("PNG")[:3000],
    "cmyk jpeg": lambda: picture("JPEG", "CMYK"),
    "gray jpeg": lambda: picture("JPEG", "L"),
    "gray png": lambda: picture("PNG", "LA"),
    "16-bit png": deep_png,
    "complex": lambda: plain(bits=64, more={FORMAT: short(6)}),
    "int64": lambda: plain(bits=64, more={FORMAT: short(2)}),
    "9 bits": lambda: colors({BITS: short(9, 9, 9)}),
    "palette": lambda: plain(more={PHOTOMETRIC: short(3), 320: short(*[0] * 768)}),
    "one pixel": lambda: tiff(image_tags(1) | {STRIP_BYTES: long(1)}, b"\0"),
    "all nodata": lambda: tiff(image_tags(128, 3) | {PHOTOMETRIC: short(2), GDAL_NODATA: text("0")}, bytes(128 * 384)),
    "lines in a band's name": lambda: with_metadata(
        '<GDALMetadata><Item name="DESCRIPTION" sample="0" role="description">&lt;b&gt;\nx</Item></GDALMetadata>'
    ),
    **{f"codec {code}": lambda code=code: colors({COMPRESSION: short(code)}) for code in (4, 5, 6, 7, 34712, 34887)},
    "no number": lambda: colors(
        {GDAL_METADATA: text('<GDALMetadata><Item name="REFLECTANCE_SCALE">nan</Item></GDALMetadata>')}
    ),
}
PLACES = {
    "transform of nan": {TRANSFORM: double(*[math.nan] * 16)},
    "transform of inf": {TRANSFORM: double(*[math.inf] * 16)},
    "transform of 1e300": {TRANSFORM: double(*[1e300] * 16)},
    "transform of 0": {TRANSFORM: double(*[0] * 16)},
    "pixels of 0": geo_keys(32631) | {PIXEL_SCALE: double(0, 0, 0)},
    "pixels of nan": geo_keys(32631) | {PIXEL_SCALE: double(math.nan, math.nan, 0)},
    "pixels of 1e300": geo_keys(32631) | {PIXEL_SCALE: double(1e300, 1e300, 0)},
    "pixels of 1e-300": geo_keys(32631) | {PIXEL_SCALE: double(1e-300, 1e-300, 0)},
    "far away": geo_keys(32631) | {TIE_POINT: double(0, 0, 0, 1e9, 1e9, 0)},
    "unknown projection": geo_keys(12345),
    "keys cut": {GEO_KEYS: short(1, 1, 0, 60_000, 1024, 0, 1, 1)},
    "projection of noise": geo_keys(1)
    | {GEO_KEYS: short(1, 1, 0, 1, 3073, 34737, 200, 0), GEO_TEXT: text('ESRI PE String = PROJCS["' + "x" * 9999)},
    "pixels of 1000 degrees": {
        GEO_KEYS: short(1, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4326),
        PIXEL_SCALE: double(1000, 1000, 0),
        TIE_POINT: double(0, 0, 0, -180, 90, 0),
    },
    "damaged pixels": {STRIP_OFFSETS: long(4_000_000_000)},
}

SCENES = ("far away", "projection of noise")  # more of them: tests/serve/test_map_tiles.py


@pytest.fixture(autouse=True)
def nothing_left(served):
    """After each file: the page is there, and nothing of the file is."""
    yield
    page = served.get("/about")
    assert page.status == 200
    assert page.seconds < 1
    left = served.left_over()
    served.clear()
    assert left == []


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(served, name):
    content, fields = BOMBS[name](), {"as": "patch"} if name.startswith("blocks") else {}
    with Watch(served) as watch:
        answer = served.classify(content, **fields)
    refused(answer, 413, 422)
    assert answer.seconds < _SOON_S
    assert watch.grown_bytes < _GROWN_BYTES
    assert watch.slowest_s < 1


@pytest.mark.parametrize("name", ELSE)
def test_what_is_no_image(served, name):
    refused(served.classify(ELSE[name]()), *((400, 415) if name == "nothing" else (415,)))


@pytest.mark.parametrize("fields", [{}, {"as": "patch"}, {"as": "scene"}], ids=["auto", "patch", "scene"])
@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files(served, name, fields):
    refused(served.classify(DAMAGED[name](), **fields), 415 if name.endswith("cut at 4") else 422, 422)


@pytest.mark.parametrize("name", PLACES)
def test_patches_without_a_place(served, name):
    answer = served.classify(colors(PLACES[name]))
    if answer.status == 200:
        served.remove(answer.json["job"])
    else:
        refused(answer, 422)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_scenes_without_a_place(served, name):
    answer = served.classify(nine(PLACES[name]), **NINE)
    if answer.status != 202:
        refused(answer, 422)
        return
    job = answer.json["job"]
    state = served.wait(job)
    if state["state"] == "failed":
        check_text(state["error"]["problem"], state["error"]["remedy"])
    else:
        addresses = ("", "/areas", "/tiles/class/0/0/0.png", "/base/0/0/0.png", "/value?row=1&col=1")
        answers = [served.get(f"/maps/{job}{address}").status for address in addresses]
        assert answers == [200, 200, 200, 200, 200]
    served.remove(job)


def test_files_that_name_other_files(served, listener):
    port, asked = listener
    for place in (f"/vsicurl/http://127.0.0.1:{port}/a.tif", "/etc/hostname", "/vsistdin/"):
        for content in (with_overviews_at(place), vrt(place), with_metadata(vrt(place).decode())):
            refused(served.classify(content), 415, 422)
        overviews = {
            GDAL_METADATA: text(
                f'<GDALMetadata><Item name="OVERVIEW_FILE" domain="OVERVIEWS">{place}</Item></GDALMetadata>'
            )
        }
        refused(served.classify(colors(overviews)), 422)
        refused(served.classify(nine(overviews), **NINE), 422)
    assert asked == []
