"""A run that can be stopped."""

import signal
from threading import Thread

from lulc.run import running


def test_outside_the_main_thread_signals_are_left_alone():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    seen = []

    def run():
        with running(lambda *now: seen.append(now)) as run:
            seen.append({number: signal.getsignal(number) for number in before} == before)
            run.tick(1, 2)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [True, (1, 2)]
