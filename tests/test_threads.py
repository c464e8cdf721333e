"""Work ahead in threads."""

import threading

import pytest

from lulc.threads import abandoned_when, in_order


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


class TestAbandonedWhen:
    def test_result_and_error_come_out(self):
        assert abandoned_when(lambda: None, lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            abandoned_when(lambda: None, lambda: 1 // 0)

    def test_it_does_not_wait_once_look_raises(self):
        free = threading.Event()
        with pytest.raises(KeyError):
            abandoned_when(lambda: {}["stop"], free.wait)
        free.set()
