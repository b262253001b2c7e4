"""Images that are written in a thread of their own: in order, a few at a time, and what goes wrong there is told."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref

import pytest

from nanobragg_kokkos.job.writer import MOST_WAITING, Writer


class Image:
    """Something that takes memory."""


def ended() -> bool:
    return not any(thread.name == "writer" for thread in threading.enumerate())


def test_images_are_written_in_order():
    written = []
    with Writer(lambda *image: written.append(image)) as writer:
        for number in range(20):
            writer.put(number, str(number))
        writer.finish()
        assert written == [(number, str(number)) for number in range(20)]
    assert ended()


def test_few_images_wait():
    """One is being written, and MOST_WAITING wait; the next has to wait until a place is free."""
    go_on, put = threading.Event(), []
    with Writer(lambda number: go_on.wait(10)) as writer:

        def put_all():
            for number in range(MOST_WAITING + 3):
                writer.put(number)
                put.append(number)

        thread = threading.Thread(target=put_all)
        thread.start()
        end = time.monotonic() + 10
        while len(put) < MOST_WAITING + 1 and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.1)
        assert len(put) == MOST_WAITING + 1
        go_on.set()
        thread.join(10)
        writer.finish()
    assert len(put) == MOST_WAITING + 3


def test_memory_of_what_is_written_is_free():
    image = Image()
    alive = weakref.ref(image)
    with Writer(lambda image: None) as writer:
        writer.put(image)
        del image
        writer.finish()
        gc.collect()
        assert alive() is None


@pytest.mark.parametrize("how", ["put", "finish"])
def test_error_is_raised_and_no_image_follows(how):
    tried = []

    def write(number):
        tried.append(number)
        if number == 1:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"), Writer(write) as writer:
        for number in range(100 if how == "put" else 3):
            writer.put(number)
            time.sleep(0.01)
        writer.finish()
    assert tried == [0, 1] and ended()


def test_interrupt_finishes_one_image_and_drops_the_others():
    written, begun, go_on = [], threading.Event(), threading.Event()

    def write(number):
        begun.set()
        go_on.wait(10)
        written.append(number)

    with pytest.raises(KeyboardInterrupt), Writer(write) as writer:
        for number in range(MOST_WAITING + 1):
            writer.put(number)
        begun.wait(10)
        threading.Timer(0.2, go_on.set).start()
        raise KeyboardInterrupt
    assert written == [0] and ended()


def test_the_writer_has_a_processor_of_its_own(run_python):
    """OpenMP binds the thread that asks for calculations to one processor, which the writer is not to share."""
    program = """
import os
import nanobragg_kokkos
from nanobragg_kokkos.job.writer import Writer

processors = os.sched_getaffinity(os.getppid())
nanobragg_kokkos.backend()
found = []
with Writer(lambda image: found.append(os.sched_getaffinity(0))) as writer:
    writer.put(None)
    writer.finish()
print(found[0] == processors, len(os.sched_getaffinity(0)))
"""
    result = run_python(program, OMP_PROC_BIND="true", OMP_NUM_THREADS=str(len(os.sched_getaffinity(0))))
    assert result.stdout.split() == ["True", "1"], result.stderr
