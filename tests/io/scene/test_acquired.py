"""What several acquisitions span."""

import pytest

from lulc.io.scene.acquired import first_moment, last_moment, span


@pytest.mark.parametrize(
    ("told", "together"),
    [
        (["2021-05-27"], "2021-05-27"),
        (["2021-05-27", "2021-05-27"], "2021-05-27"),
        (["2021-07-20", "2021-05-27", "2021-06-20"], "2021-05-27/2021-07-20"),
        (["2021-06-01/2021-06-30", "2021-06-10"], "2021-06-01/2021-06-30"),
        (["2021-06-01/2021-06-30", "2021-07-01T10:50:31Z"], "2021-06-01/2021-07-01T10:50:31Z"),
        (["2021-05-27", ""], ""),
        ([], ""),
    ],
)
def test_a_span_reaches_from_the_first_to_the_last(told, together):
    assert span(told) == together
    assert span(told[::-1]) == together
    assert span([together]) == together


def test_the_ends_of_a_date_are_that_date():
    assert first_moment("2021-05-27") == last_moment("2021-05-27") == "2021-05-27"
    assert (first_moment("2021-05-27/2021-07-20"), last_moment("2021-05-27/2021-07-20")) == ("2021-05-27", "2021-07-20")
