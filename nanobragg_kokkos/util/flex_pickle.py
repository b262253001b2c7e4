"""Pickled masks, as DIALS writes them, read as data: nothing in the file is called, and no size is believed."""

from __future__ import annotations

import io
import os
import pickle
from typing import Any, ClassVar

import numpy as np

# Of a file: a byte a pixel, of as many pixels as any detector has.
MOST_BYTES = 2**30

# What pickles of flex arrays, in all protocols, consist of.
# fmt: off
_OPERATIONS = (
    "PROTO",
    "FRAME",
    "STOP",
    "MARK",
    "POP",
    "POP_MARK",
    "GLOBAL",
    "STACK_GLOBAL",
    "REDUCE",
    "BUILD",
    "NONE",
    "NEWTRUE",
    "NEWFALSE",
    "INT",
    "BININT",
    "BININT1",
    "BININT2",
    "LONG1",
    "STRING",
    "BINSTRING",
    "SHORT_BINSTRING",
    "UNICODE",
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "BINBYTES",
    "SHORT_BINBYTES",
    "EMPTY_TUPLE",
    "TUPLE",
    "TUPLE1",
    "TUPLE2",
    "TUPLE3",
    "EMPTY_LIST",
    "LIST",
    "APPEND",
    "APPENDS",
    "PUT",
    "BINPUT",
    "LONG_BINPUT",
    "MEMOIZE",
    "GET",
    "BINGET",
    "LONG_BINGET",
)
# fmt: on


class NoMask(ValueError):
    """A pickle is sound, but holds something else than bool arrays."""


def read_flex_bools(path: str | os.PathLike) -> list[np.ndarray]:
    """Returns the pickled flex.bool array of a file, or the arrays of a pickled tuple or list, as NumPy bool arrays.

    Raises:
        NoMask: the file holds something else.
        ValueError: it is damaged.
        OSError: it cannot be read.
    """
    size = os.path.getsize(path)
    if size > MOST_BYTES:
        raise NoMask(f"it has {size} bytes, more than any mask")
    with open(path, "rb") as file:
        contents = io.BytesIO(file.read())
    try:
        found = _Unpickler(contents).load()
    except NoMask:
        raise
    except Exception as error:  # whatever a stack machine without a plan raises
        raise ValueError(f"it is no sound pickle: {type(error).__name__} {error}") from error
    tiles = found if isinstance(found, (tuple, list)) else [found]
    if not tiles or not all(isinstance(tile, _Bools) for tile in tiles):
        raise NoMask("it holds something else")
    return [tile.array() for tile in tiles]


class _Grid:
    """Stands for flex.grid."""

    def __init__(self, *arguments: Any) -> None:
        self.shape = _shape(*arguments)


class _Bools:
    """Stands for flex.bool."""

    state: Any = None

    def array(self) -> np.ndarray:
        """Returns the array, whose size is what the bytes in the file make it."""
        if not isinstance(self.state, tuple) or len(self.state) != 2 or not isinstance(self.state[0], _Grid):
            raise NoMask("it holds an array that is incomplete")
        grid, contents = self.state
        contents = contents.encode("latin1") if isinstance(contents, str) else contents
        if not isinstance(contents, bytes) or not contents:
            raise NoMask("it holds an array that is incomplete")
        # Before the elements, '0' or '1' each: how many there are, and before that, in how many bytes.
        begin = contents[0] & 0x7F
        count = int.from_bytes(contents[1:begin], "little")
        elements = np.frombuffer(contents, np.uint8)[begin:]
        if (
            len(elements) != count
            or count != np.prod(grid.shape, dtype=object)
            or not np.isin(elements, (48, 49)).all()
        ):
            raise NoMask("it holds an array whose size is not that of its contents")
        return (elements == 49).reshape(grid.shape)


def _shape(*arguments: Any) -> tuple[int, ...]:
    """Returns the shape of a flex.grid of these arguments: a size; or first and last index, and whether it is after."""
    first, last, after = (arguments + (True,) * 3)[:3] if len(arguments) > 1 else ((), *arguments, True)
    if not all(isinstance(x, tuple) and all(type(i) is int for i in x) for x in (first, last)):
        raise NoMask("it holds an array without a size")
    first = first or (0,) * len(last)
    shape = tuple(end - begin + (not after) for begin, end in zip(first, last))
    if len(first) != len(last) or any(length < 0 for length in shape):
        raise NoMask("it holds an array without a size")
    return shape


class _Encode:
    """Stands for _codecs.encode, through which Python 3 writes bytes in old protocols."""


_KNOWN = {
    ("scitbx_array_family_flex_ext", "bool"): _Bools,
    ("scitbx_array_family_flex_ext", "grid"): _Grid,
    ("_codecs", "encode"): _Encode,
}


class _Unpickler(pickle._Unpickler):
    """Python's unpickler, of which only what fills tuples, lists and the classes above is left.

    It is the one that is written in Python: that in C takes memory for whatever size a file claims.
    """

    stack: list[Any]  # as long as it reads

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, encoding="latin1")

    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in _KNOWN:
            raise NoMask(f"it refers to {module}.{name}, and only flex.bool is read")
        return _KNOWN[module, name]

    def _reduce(self) -> None:
        arguments, made = self.stack.pop(), self.stack[-1]
        if not isinstance(arguments, tuple) or made not in (_Bools, _Grid, _Encode):
            raise NoMask("it calls what is no flex array")
        if made is _Encode:
            text, codec = arguments
            if not isinstance(text, str) or codec != "latin1":
                raise NoMask("it holds bytes of an unknown kind")
            self.stack[-1] = text.encode("latin1")
        else:
            self.stack[-1] = made(*arguments)

    def _build(self) -> None:
        state, filled = self.stack.pop(), self.stack[-1]
        if isinstance(filled, _Bools):
            filled.state = state
        elif not isinstance(filled, _Grid):  # of a grid, the focus is of no interest
            raise NoMask("it fills what is no flex array")

    dispatch: ClassVar[dict[int, Any]] = {
        getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in _OPERATIONS
    }
    dispatch[pickle.REDUCE[0]] = _reduce
    dispatch[pickle.BUILD[0]] = _build
