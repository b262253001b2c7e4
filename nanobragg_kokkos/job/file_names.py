"""Names of the files that a job writes, and which of them exist."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from nanobragg_kokkos.util.whole_files import left_behind


@dataclass(frozen=True)
class FileNames:
    """Names of the files that a job writes.

    Args:
        directory: directory of all files.
        prefix: prefix of all names.
        images_per_file: data file k, counted from 0, holds this number of images from image k * images_per_file on.
        amplitudes_path: file of the true amplitudes. None: beside the other files.
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

    @property
    def record(self) -> Path:
        """What the job was asked for, and the checksums of its files; also the lock of the prefix."""
        return self.directory / f"{self.prefix}_record.jsonl"

    def partial_sums(self, rank: int) -> Path:
        """Returns the path of a rank's sums so far, for jobs that write no images.

        No prefix makes it the data file of another job.
        """
        return self.directory / f"{self.prefix}_rank_{rank:05d}_sums.h5"

    def log(self, rank: int) -> Path:
        return self.directory / f"{self.prefix}_rank_{rank:05d}.log"

    def others(self) -> list[Path]:
        """Returns the paths of all files that are neither of a rank nor of some images, the record left out.

        That of the true amplitudes, which may be anywhere, comes last.
        """
        beside = [self.master, self.true_models, self.parameters, self.picture, self.summary, self.reduced]
        return [*beside, self.true_amplitudes]

    def in_record(self, path: Path) -> str:
        """Returns the name of a file in the record: that in the directory, or the absolute path of one elsewhere."""
        return path.name if path.parent.resolve() == self.directory.resolve() else os.path.abspath(path)

    def from_record(self, name: str) -> Path:
        """Returns the path of a file, given its name in the record."""
        return self.directory / name

    def number_of_data(self, name: str) -> int | None:
        """Returns the number of the data file of a name, counted from 0; None: it is no data file."""
        number = self._number(r"(\d{5,})\.h5", name, first=1)
        return number if number is not None and name == self.data(number).name else None

    def rank_of(self, name: str) -> int | None:
        """Returns the rank whose partial sums or log have a name; None: it is neither."""
        return self._number(r"rank_(\d{5,})(?:_sums\.h5|\.log)", name, first=0)

    def numbers_of_data(self) -> list[int]:
        """Returns the numbers of all data files that exist, whichever job wrote them, in order."""
        return sorted(number for name in self._existing() if (number := self.number_of_data(name)) is not None)

    def numbers_of_partial_sums(self) -> list[int]:
        """Returns the ranks whose partial sums exist, in order."""
        ranks = (self.rank_of(name) for name in self._existing() if name.endswith("_sums.h5"))
        return sorted(rank for rank in ranks if rank is not None)

    def remove_temporary(self) -> None:
        """Removes temporary files that killed processes left."""
        ends = (
            r"(_\d{5,}\.h5|_master\.h5|_reduced\.h5|_rank_\d{5,}_sums\.h5|_truth\.expt|_truth\.mtz|_summary\.json|\.phil"
            r"|\.png)"
        )
        for path in left_behind(self.directory, re.escape(self.prefix) + ends):
            path.unlink(missing_ok=True)

    def longest_name(self, n_images: int, n_ranks: int) -> str:
        """Returns the longest of the names of all files."""
        paths = [self.data(self.n_data(n_images) - 1), self.partial_sums(n_ranks - 1), *self.others(), self.record]
        return max((path.name for path in paths), key=lambda name: len(os.fsencode(name)))

    def _existing(self) -> list[str]:
        try:
            return [entry.name for entry in os.scandir(self.directory) if not entry.is_dir()]
        except FileNotFoundError:
            return []

    def _number(self, end: str, name: str, first: int) -> int | None:
        match = re.fullmatch(re.escape(self.prefix) + "_" + end, name)
        return int(match.group(1)) - first if match else None
