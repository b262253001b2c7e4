"""Guided self-scheduling: who is free gets a share of what is left.

C. D. Polychronopoulos & D. J. Kuck, IEEE Trans. Comput. C-36, 1425 (1987): 1/P of it to each of P workers, so that
shares begin large, which saves asking, and end small, so that all are done at about the same time. Here it is half of
that, as images differ in what they take, and processes in their speed.
"""

from __future__ import annotations


class Schedule:
    """Hands out the numbers 0 to n_items - 1, in this order, in runs of consecutive ones.

    Args:
        n_items: how many numbers.
        n_workers: how many ask for them.
    """

    def __init__(self, n_items: int, n_workers: int) -> None:
        self._n_items = n_items
        self._n_workers = n_workers
        self._next = 0

    def take(self) -> range:
        """The numbers of whoever asks; an empty range if none are left."""
        left = self._n_items - self._next
        first, self._next = self._next, self._next + min(left, max(1, left // (2 * self._n_workers)))
        return range(first, self._next)
