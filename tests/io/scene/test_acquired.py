"""What several acquisitions span."""

from pathlib import Path

import pytest

from lulc.errors import InputError
from lulc.io.scene.acquired import first_moment, last_moment, moment, span, stated_date


@pytest.mark.parametrize(
    ("told", "together"),
    [
        (["2021-05-27"], "2021-05-27"),
        (["2021-05-27", "2021-05-27"], "2021-05-27"),
        (["2021-07-20", "2021-05-27", "2021-06-20"], "2021-05-27/2021-07-20"),
        (["2021-06-01/2021-06-30", "2021-06-10"], "2021-06-01/2021-06-30"),
        (["2021-06-01/2021-06-30", "2021-07-01T10:50:31Z"], "2021-06-01/2021-07-01T10:50:31Z"),
        (["2021-10-01T10:50:31Z", "2021-10-01T11:50:31+02:00"], "2021-10-01T11:50:31+02:00/2021-10-01T10:50:31Z"),
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


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2021-06-28", "2021-06-28"),
        ("2021-06-28T10:50:31.024Z", "2021-06-28T10:50:31.024Z"),
        ("2021-9-05", "2021-09-05"),
        ("2021/09/05", "2021-09-05"),
        ("20210928", "2021-09-28"),
        ("20210928T105031", "2021-09-28T10:50:31Z"),
        ("2021:06:28 10:50:31", "2021-06-28T10:50:31Z"),
        ("2021-10-01T11:50:31+02:00", "2021-10-01T09:50:31Z"),
        ("2021-06-01/2021-06-30", "2021-06-01/2021-06-30"),
        ("20210601/20210630", "2021-06-01/2021-06-30"),
        ("", ""),
    ],
)
def test_dates_of_any_hand_become_iso(text, iso, caplog):
    assert stated_date(text, Path("scene.tif")) == iso
    assert not caplog.text


@pytest.mark.parametrize(
    "text", ["28/06/2021", "06/28/2021", "28.06.2021", "June 2021", "2021-13-01", "2021", "1624877431"]
)
def test_what_is_no_date_counts_as_not_stated_and_is_told(text, caplog):
    assert stated_date(text, Path("scene.tif")) == ""
    assert f"scene.tif: {text!r} is no date" in caplog.text
    with pytest.raises(InputError, match="is no date"):
        moment(text)


def test_moments_are_compared_across_zones():
    assert moment("2021-10-01T11:50:31+02:00") < moment("2021-10-01T10:50:31Z")
    assert moment("2021-10-01") == moment("2021-10-01T00:00:00Z")
