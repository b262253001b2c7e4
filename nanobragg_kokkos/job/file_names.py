"""Names of the files that a job writes, and which of them exist."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from nanobragg_kokkos.util.whole_files import left_behind


@dataclass(frozen=True)
class FileNames:
    """Names of the files that a job writes.

    Args:
        directory: of all files.
        prefix: of all names.
        images_per_file: data file k, counted from 0, holds this number of images from image k * images_per_file on.
        amplitudes_path: of the true amplitudes. None: beside the other files.
    """

    directory: Path
    prefix: str
    images_per_file: int = 1
    amplitudes_path: str | None = None

    def data(self, number: int) -> Path:
        """Returns the path of a data file, counted from 0; names count from 1."""
        return self.directory / f"{self.prefix}_{number + 1:05d}.h5"

    def n_data(self, n_images: int) -> int:
        """Returns the number of data files that hold n_images."""
        return -(-n_images // self.images_per_file)

    def images(self, number: int, n_images: int) -> range:
        """Returns the images of a data file, all counted from 0, of n_images in total."""
        first = number * self.images_per_file
        return range(first, min(first + self.images_per_file, n_images))

    @property
    def master(self) -> Path:
        return self.directory / f"{self.prefix}_master.h5"

    @property
    def true_models(self) -> Path:
        return self.directory / f"{self.prefix}_truth.expt"

    @property
    def true_amplitudes(self) -> Path:
        return Path(self.amplitudes_path or self.directory / f"{self.prefix}_truth.mtz")

    @property
    def parameters(self) -> Path:
        return self.directory / f"{self.prefix}.phil"

    @property
    def picture(self) -> Path:
        return self.directory / f"{self.prefix}.png"

    @property
    def summary(self) -> Path:
        """Times of each step, and failures (JSON)."""
        return self.directory / f"{self.prefix}_summary.json"

    @property
    def reduced(self) -> Path:
        """Sums over all images."""
        return self.directory / f"{self.prefix}_reduced.h5"

    def partial_sums(self, rank: int) -> Path:
        """Returns the path of a rank's sums so far, for jobs that write no images."""
        return self.directory / f"{self.prefix}_partial_{rank:05d}.h5"

    def log(self, rank: int) -> Path:
        return self.directory / f"{self.prefix}_rank_{rank:05d}.log"

    def numbers_of_data(self) -> list[int]:
        """Returns the numbers of all data files that exist, whichever job wrote them, in order."""
        return self._numbers(r"(\d{5,})\.h5")

    def numbers_of_partial_sums(self) -> list[int]:
        """Returns the ranks whose partial sums exist, in order."""
        return self._numbers(r"partial_(\d{5,})\.h5", first=0)

    def _numbers(self, end: str, first: int = 1) -> list[int]:
        pattern = re.compile(re.escape(self.prefix) + "_" + end)
        if not self.directory.is_dir():
            return []
        matches = (pattern.fullmatch(path.name) for path in self.directory.iterdir() if not path.is_dir())
        return sorted(int(match.group(1)) - first for match in matches if match)

    def remove_results(self) -> None:
        """Removes the files that depend on the images."""
        for number in self.numbers_of_data():
            self.data(number).unlink(missing_ok=True)
        for rank in self.numbers_of_partial_sums():
            self.partial_sums(rank).unlink(missing_ok=True)
        for path in (self.master, self.reduced, self.true_models, self.picture, self.summary):
            path.unlink(missing_ok=True)

    def remove_temporary(self) -> None:
        """Removes temporary files that killed processes left."""
        ends = (
            r"(_\d{5,}\.h5|_master\.h5|_reduced\.h5|_partial_\d{5,}\.h5|_truth\.expt|_truth\.mtz|_summary\.json|\.phil"
            r"|\.png)"
        )
        for path in left_behind(self.directory, re.escape(self.prefix) + ends):
            path.unlink(missing_ok=True)
