"""Files that nobody should have to open: cut, lying, exploding, or something else than they say."""

import gzip
import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image

SHORT, LONG, DOUBLE, ASCII, UNDEFINED, LONG8 = 3, 4, 12, 2, 7, 16
_FORMATS = {SHORT: "H", LONG: "I", DOUBLE: "d", LONG8: "Q"}
_SIZES = {SHORT: 2, LONG: 4, DOUBLE: 8, LONG8: 8, ASCII: 1, UNDEFINED: 1}

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES = (
    256,
    257,
    258,
    259,
    262,
    273,
    277,
    278,
    279,
)
PLANAR, SUBFILE, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, EXTRA, FORMAT, XMP = (
    284,
    254,
    322,
    323,
    324,
    325,
    338,
    339,
    700,
)
PIXEL_SCALE, TIE_POINT, TRANSFORM, GEO_KEYS, GEO_DOUBLES, GEO_TEXT, GDAL_METADATA, GDAL_NODATA = (
    33550,
    33922,
    34264,
    34735,
    34736,
    34737,
    42112,
    42113,
)
DEFLATE = 8

Tag = tuple[int, tuple[float, ...] | bytes]
Tags = dict[int, Tag]


def short(*values: int) -> Tag:
    return SHORT, values


def long(*values: int) -> Tag:
    return LONG, values


def double(*values: float) -> Tag:
    return DOUBLE, values


def text(value: str) -> Tag:
    return ASCII, value.encode() + b"\0"


def image_tags(side: int = 128, bands: int = 1, bits: int = 8, strip: int = 0) -> Tags:
    """What a whole small TIFF of one strip says of itself."""
    return {
        WIDTH: long(side),
        HEIGHT: long(side),
        BITS: short(*[bits] * bands),
        COMPRESSION: short(1),
        PHOTOMETRIC: short(1),
        STRIP_OFFSETS: long(8),
        SAMPLES: short(bands),
        ROWS_PER_STRIP: long(side),
        STRIP_BYTES: long(strip or side * side * bands * bits // 8),
    }


def tiff(tags: Tags, pixels: bytes = b"", following: int = 0) -> bytes:
    """A TIFF of one directory, written without asking whether it makes sense; pixels lie at byte 8."""
    out = bytearray(b"II*\0" + bytes(4) + pixels)
    out += bytes(len(out) % 2)
    directory = directory_of(tags, len(out), following)
    out += directory[0]
    struct.pack_into("<I", out, 4, len(out))
    return bytes(out + directory[1])


def directory_of(tags: Tags, position: int, following: int = 0) -> tuple[bytes, bytes]:
    """Values that do not fit into a directory, which begin at a position, and the directory that comes after them."""
    values, entries = bytearray(), bytearray()
    for tag, (kind, content) in sorted(tags.items()):
        raw = content if isinstance(content, bytes) else struct.pack(f"<{len(content)}{_FORMATS[kind]}", *content)
        place = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack("<I", position + len(values))
        values += raw + bytes(len(raw) % 2) if len(raw) > 4 else b""
        entries += struct.pack("<HHI", tag, kind, len(raw) // _SIZES[kind]) + place
    return bytes(values), struct.pack("<H", len(tags)) + bytes(entries) + struct.pack("<I", following)


def plain(side: int = 128, bands: int = 1, bits: int = 8, more: Tags | None = None) -> bytes:
    """A whole TIFF, with more tags or other ones."""
    pixels = bytes(range(256)) * (side * side * bands * bits // 8 // 256)
    return tiff(image_tags(side, bands, bits) | (more or {}), pixels)


def lying(more: Tags) -> bytes:
    """A TIFF with few bytes of pixels that says something else."""
    return plain(more=more)


def deflate_bomb(side: int = 2048, bands: int = 3, bits: int = 8, times: int = 1) -> bytes:
    """A TIFF whose only strip holds `times` as much as it should, all zeros."""
    return _bomb(image_tags(side, bands, bits), side * side * bands * bits // 8 * times)


def wide_pixels(side: int = 1024, bands: int = 250) -> bytes:
    """A TIFF of many bands of float64, three of them named, in one strip of `side` * `side` * `bands` * 8 bytes."""
    tags = image_tags(side, bands, 64) | {FORMAT: short(*[3] * bands), EXTRA: short(*[0] * (bands - 1))}
    names = "".join(
        f'<Item name="DESCRIPTION" sample="{sample}" role="description">{name}</Item>'
        for sample, name in enumerate(("B04", "B03", "B02"))
    )
    tags[GDAL_METADATA] = text(f"<GDALMetadata>{names}</GDALMetadata>")
    return _bomb(tags, side * side * bands * 8)


def _bomb(tags: Tags, size: int) -> bytes:
    strip = zeros(size)
    return tiff(tags | {COMPRESSION: short(DEFLATE), STRIP_BYTES: long(len(strip))}, strip)


def zeros(size: int) -> bytes:
    """So many zeros, deflated."""
    packer = zlib.compressobj(1)
    piece = bytes(1 << 20)
    parts = [packer.compress(piece) for _ in range(size >> 20)]
    return b"".join([*parts, packer.compress(bytes(size & ((1 << 20) - 1))), packer.flush()])


def directory_loop() -> bytes:
    """A TIFF whose directory is followed by itself."""
    whole = bytearray(plain())
    start = struct.unpack_from("<I", whole, 4)[0]
    struct.pack_into("<I", whole, len(whole) - 4, start)
    return bytes(whole)


def many_directories(count: int) -> bytes:
    """A TIFF of so many images, all of the same few pixels."""
    tags = {**image_tags(16), SUBFILE: long(0)}
    pixels = bytes(256)
    out = bytearray(b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels)
    size = 2 + 12 * len(tags) + 4
    for number in range(count):
        following = len(out) + size if number + 1 < count else 0
        out += directory_of(tags, 0, following)[1]
    return bytes(out)


def many_entries(count: int = 65535) -> bytes:
    """A directory of the most entries that one can have, most of them unknown."""
    tags: Tags = {10000 + number: short(1) for number in range(count - 9 - 10000 + 10000) if 10000 + number < 65536}
    return tiff({**tags, **image_tags()}, bytes(128 * 128))


def many_samples(count: int) -> bytes:
    """A TIFF of so many bands of one row of few pixels each, each band apart."""
    tags = image_tags(16, 1) | {SAMPLES: short(count), BITS: short(*[8] * count), PLANAR: short(2)}
    tags |= {EXTRA: short(*[0] * (count - 1)), STRIP_OFFSETS: long(*[8] * count), STRIP_BYTES: long(*[256] * count)}
    return tiff(tags, bytes(256))


def huge_tag(size: int = 4_000_000_000) -> bytes:
    """A tag that says it holds more than the file does."""
    whole = bytearray(plain(more={GDAL_METADATA: text("x" * 100)}))
    place = whole.index(struct.pack("<HH", GDAL_METADATA, ASCII))
    struct.pack_into("<I", whole, place + 4, size)
    return bytes(whole)


def with_metadata(xml: str) -> bytes:
    """A whole TIFF with GDAL's own tag."""
    return plain(more={GDAL_METADATA: text(xml)})


def with_overviews_at(place: str) -> bytes:
    """A TIFF whose metadata say where its overviews and mask lie."""
    item = f'<Item name="OVERVIEW_FILE" domain="OVERVIEWS">{place}</Item>'
    return with_metadata(f"<GDALMetadata>{item}</GDALMetadata>")


def entity_bomb() -> str:
    """A billion laughs."""
    lines = [f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10)]
    return f'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY e0 "lol">{"".join(lines)}]><GDALMetadata>&e9;</GDALMetadata>'


def nested_xml(depth: int = 200_000) -> str:
    return "<a>" * depth


def vrt(source: str, width: int = 128) -> bytes:
    """A virtual raster that points to a file or an address."""
    return (
        f'<VRTDataset rasterXSize="{width}" rasterYSize="{width}"><VRTRasterBand dataType="Byte" band="1">'
        f'<SimpleSource><SourceFilename relativeToVRT="0">{source}</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    ).encode()


def geo_keys(code: int) -> Tags:
    """Georeference by the code of a projection."""
    return {
        GEO_KEYS: short(1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, code),
        PIXEL_SCALE: double(10, 10, 0),
        TIE_POINT: double(0, 0, 0, 500000, 5000000, 0),
    }


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, data: bytes, *, depth: int = 8, color: int = 2, before: Iterable[bytes] = ()) -> bytes:
    """A PNG with a header and deflated rows, as they are given."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *before, chunk(b"IDAT", data), chunk(b"IEND", b"")])


def png_bomb(side: int = 20_000) -> bytes:
    """A PNG of a picture of that side, all of it there, in little."""
    return png(side, side, zeros(side * (3 * side + 1)))


def picture(kind: str, mode: str = "RGB", side: int = 64, **options: object) -> bytes:
    """A sound picture of noise."""
    noise = np.random.default_rng(7).integers(0, 255, (side, side, len(Image.new(mode, (1, 1)).getbands())), np.uint8)
    image = Image.fromarray(noise.squeeze(), mode if mode == "CMYK" else None)
    out = io.BytesIO()
    (image if image.mode == mode else image.convert(mode)).save(out, kind, **options)
    return out.getvalue()


def deep_png() -> bytes:
    """Sixteen bits a colour."""
    return png(64, 64, zlib.compress((b"\0" + bytes(range(256)) + bytes(128)) * 64), depth=16)


def wide_jpeg(side: int = 65535) -> bytes:
    """A JPEG whose header says another size."""
    whole = bytearray(picture("JPEG"))
    place = whole.index(b"\xff\xc0")
    struct.pack_into(">HH", whole, place + 5, side, side)
    return bytes(whole)


def many_scans(count: int, side: int = 2048) -> bytes:
    """A progressive JPEG of one colour whose last scan is repeated: each goes over the whole picture again."""
    out = io.BytesIO()
    Image.new("RGB", (side, side), (90, 90, 90)).save(out, "JPEG", progressive=True)
    whole = out.getvalue()
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * count + whole[-2:]


def zip_of(name: str = "image.tif") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, plain())
    return out.getvalue()


class _Harm:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return eval, ("1/0",)  # what a pickle may do where it is loaded


def pickled() -> bytes:
    return pickle.dumps(_Harm())


def zipped_twice() -> bytes:
    return gzip.compress(plain())
