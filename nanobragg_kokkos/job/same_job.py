"""Whether a directory holds images of the same job, so that a job that was killed can go on.

PREFIX.phil records the parameters, and in comments the SHA-256 of every file that a parameter names. While a job runs,
its first rank holds a lock on that file (flock: the system releases it when the process ends, however it ends), so that
no other job writes the same files at the same time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import iotbx.phil
import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos.util.whole_files import whole_file

# Parameters that change neither the pixels of an image nor its place; NOT_FREE are exceptions.
FREE = ("n_images", "output.")
NOT_FREE = ("output.images_per_file",)

DIGEST = re.compile(r"^# sha256 (\S+) ([0-9a-f]{64})$", re.MULTILINE)

# Processes that are killed take a moment to end.
PATIENCE_S = 10


def text(working: libtbx.phil.scope) -> str:
    """Returns the contents of PREFIX.phil for a job."""
    return working.as_str() + "".join(f"# sha256 {name} {digest}\n" for name, digest in _digests(working).items())


def differences(path: Path, working: libtbx.phil.scope) -> list[str]:
    """Returns the parameters that determine pixels and differ from PREFIX.phil, each as 'name (then, now)'.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a file of parameters.
    """
    then, digests_then = _read(path, working)
    values_then, values_now, digests_now = _values(then), _values(working), _digests(working)
    found = []
    for name in values_now:
        # The same file under another name is the same.
        if name in digests_now and name in digests_then:
            if digests_now[name] != digests_then[name]:
                found.append(f"{name} (its contents)")
        elif values_then.get(name) != values_now[name]:
            found.append(f"{name} ({_shown(values_then.get(name))}, now {_shown(values_now[name])})")
    return found


def n_images(path: Path, working: libtbx.phil.scope) -> int:
    """Returns the number of images of the job that wrote PREFIX.phil; raises what differences raises."""
    return _read(path, working)[0].extract().n_images


class Lock:
    """Keeps other jobs from writing files of the same prefix; a context manager.

    Args:
        path: PREFIX.phil.
        patience_s: seconds to wait for a job that is about to end.

    Raises:
        Sorry: another job holds it.
    """

    def __init__(self, path: Path, patience_s: float = PATIENCE_S) -> None:
        self._path = path
        self._files = ExitStack()
        if path.is_file() and os.access(path, os.W_OK):
            self._hold(path, patience_s)

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._files.close()

    def write(self, contents: str) -> None:
        """Replaces the contents of the file, under the same lock."""
        with whole_file(self._path) as temporary:
            Path(temporary).write_text(contents)
            self._hold(Path(temporary), 0)

    def _hold(self, path: Path, patience_s: float) -> None:
        end = time.monotonic() + patience_s
        file = self._files.enter_context(open(path, "r+b"))
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError as error:
                if time.monotonic() > end:
                    raise Sorry(
                        f"output.prefix={self._path.stem}: expected another one, because another job is writing files "
                        f"of this prefix in {self._path.parent}"
                    ) from error
                time.sleep(0.1)
            except OSError:  # this file system has no locks
                return


def _read(path: Path, working: libtbx.phil.scope) -> tuple[libtbx.phil.scope, dict[str, str]]:
    contents = path.read_text()
    try:
        then = working.fetch(source=iotbx.phil.parse(contents))
        then.extract()
    except (RuntimeError, Sorry) as error:
        raise ValueError(str(error)) from error
    return then, dict(DIGEST.findall(contents))


def _values(scope: libtbx.phil.scope) -> dict[str, list[Any]]:
    """Returns by name the values of all parameters that determine pixels: lists, as some may be given several times."""
    values: dict[str, list[Any]] = {}
    for locator in scope.all_definitions():
        if not locator.path.startswith(FREE) or locator.path in NOT_FREE:
            values.setdefault(locator.path, []).append(_comparable(locator.object.extract()))
    return values


def _comparable(value: Any) -> Any:
    return value if isinstance(value, (int, float)) else str(value)


def _shown(values: list[Any] | None) -> str:
    return ", ".join(f"{x:g}" if isinstance(x, float) else str(x) for x in values or ["None"])


def _digests(working: libtbx.phil.scope) -> dict[str, str]:
    """Returns by parameter the SHA-256 of the file that it names; of several files, that of all together."""
    digests: dict[str, Any] = {}
    for locator in working.all_definitions():
        if locator.path.startswith(FREE):
            continue
        for path in _paths(locator.object):
            if os.path.isfile(path):
                digest = digests.setdefault(locator.path, hashlib.sha256())
                with open(path, "rb") as file:
                    while part := file.read(2**20):
                        digest.update(part)
    return {name: digest.hexdigest() for name, digest in digests.items()}


def _paths(definition: libtbx.phil.definition) -> list[str]:
    """Returns the paths that a parameter names: one, or several as NAME=PATH."""
    value, kind = definition.extract(), definition.type.phil_type
    if kind == "path":
        return [value] if isinstance(value, str) else []
    return [pair.partition("=")[2] for pair in value or ()] if kind == "strings" else []
