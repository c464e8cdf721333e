import pytest

from lulc.io.files.fingerprint import json_fingerprint


@pytest.mark.parametrize(
    ("value", "digest"),
    [
        (
            {"b": [1, 2.5, None], "a": {"é": ("x", True)}},
            "dabac0adacafeeb56d4212862d3e8aea348dd874a4123a0a0df94aa72765dd0f",
        ),
        (["id", "POLYGON", ("B02", "B03")], "1041745d887c8c68537d58e29f4ced5369f5d3b771eea65f015e7137efc1c3c0"),
    ],
)
def test_digests_of_plans_and_fetched_files_stay_as_they_are(value, digest):
    assert json_fingerprint(value) == digest


def test_the_order_of_keys_does_not_count():
    assert json_fingerprint({"a": 1, "b": 2}) == json_fingerprint({"b": 2, "a": 1})
    assert json_fingerprint([1, 2]) != json_fingerprint([2, 1])
