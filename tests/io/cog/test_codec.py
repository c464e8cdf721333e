from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lulc.io.cog.codec import TileCodec


def blocks(dtype):
    rng = np.random.default_rng(1)
    smooth = np.add.outer(np.arange(64), np.arange(64)) // 3
    yield (smooth + rng.integers(0, 3, smooth.shape)).astype(dtype)
    yield np.full((64, 64), 255, dtype)
    if dtype == "float32":
        yield np.array([np.nan, -0.0, np.inf, 1e-40] * 1024, dtype).reshape(64, 64)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("compression", ["zstd", "deflate", "none"])
def test_decode_undoes_encode_to_the_bit(dtype, compression):
    codec = TileCodec(64, dtype, compression, 3)
    for block in blocks(dtype):
        back = codec.decode(codec.encode(block))
        assert back.tobytes() == block.tobytes()
        assert back.dtype == dtype


@pytest.mark.parametrize("compression", ["zstd", "deflate"])
def test_threads_give_the_same_bytes_as_one(compression):
    codec = TileCodec(64, "uint8", compression)
    rng = np.random.default_rng(2)
    many = [rng.integers(0, 9, (64, 64), dtype=np.uint8) for _ in range(60)]
    alone = [codec.encode(block) for block in many]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(codec.encode, many * 5)) == alone * 5


def test_blocks_that_are_views_are_encoded_as_they_look():
    codec = TileCodec(64)
    wide = np.random.default_rng(3).integers(0, 9, (64, 200), dtype=np.uint8)
    assert codec.encode(wide[:, 70:134]) == codec.encode(wide[:, 70:134].copy())


def test_a_block_of_another_type_or_size_is_refused():
    with pytest.raises(ValueError, match="64 px square"):
        TileCodec(64).encode(np.zeros((64, 63), np.uint8))
    with pytest.raises(ValueError, match="uint8"):
        TileCodec(64).encode(np.zeros((64, 64), np.uint16))
