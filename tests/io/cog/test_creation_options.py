import pytest

from lulc.errors import UsageError
from lulc.io.cog.creation_options import Encoding, encoding_of


@pytest.mark.parametrize(
    ("options", "encoding"),
    [
        ({}, Encoding("zstd", 1, 512, None)),
        ({"COMPRESS": "NONE"}, Encoding("none")),
        ({"compress": "deflate", "zlevel": "6"}, Encoding("deflate", 6)),
        ({"LEVEL": "22", "Compress": "Zstd"}, Encoding("zstd", 22)),
        ({"ZSTD_LEVEL": "3"}, Encoding("zstd", 3)),
        ({"BLOCKSIZE": "256", "BIGTIFF": "yes"}, Encoding(block=256, bigtiff=True)),
        ({"BIGTIFF": "NO"}, Encoding(bigtiff=False)),
        ({"BIGTIFF": "IF_SAFER"}, Encoding()),
    ],
)
def test_known_options_in_any_case(options, encoding):
    assert encoding_of(options) == encoding


@pytest.mark.parametrize(
    "options",
    [
        {"COMPRESS": "LZW"},
        {"COMPRESS": ""},
        {"TILED": "NO"},
        {"BLOCKSIZE": "100"},
        {"LEVEL": "0"},
        {"LEVEL": "-1"},
        {"LEVEL": "x"},
        {"LEVEL": "٣"},
        {"ZSTD_LEVEL": "23"},
        {"COMPRESS": "DEFLATE", "ZSTD_LEVEL": "3"},
        {"COMPRESS": "DEFLATE", "LEVEL": "10"},
        {"BIGTIFF": "IF_NEEDED"},
        {"NUM_THREADS": "ALL_CPUS"},
    ],
)
def test_others_are_refused_and_the_known_ones_named(options):
    name, value = list(options.items())[-1]
    with pytest.raises(UsageError, match=rf"creation option {name}={value} is not known; known are COMPRESS=ZSTD"):
        encoding_of(options)
