"""Work ahead in threads."""

import pytest

from lulc.tasks.in_order import in_order


class TestInOrder:
    def test_results_keep_the_order(self):
        assert list(in_order(lambda value: value * value, range(20), readers=4)) == [
            value * value for value in range(20)
        ]

    def test_an_error_comes_out(self):
        with pytest.raises(ZeroDivisionError):
            list(in_order(lambda value: 1 // value, [1, 0, 1]))

    def test_it_never_runs_far_ahead(self):
        begun = []
        results = in_order(lambda value: begun.append(value) or value, range(100), readers=2)
        next(results)
        assert len(begun) <= 4
        results.close()
