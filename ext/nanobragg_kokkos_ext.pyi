from __future__ import annotations

from typing import Any, List, Optional, Tuple, TypedDict

from cctbx.array_family import flex
from dxtbx.model import Crystal as DxtbxCrystal
from dxtbx.model import Detector as DxtbxDetector

class Detector:
    def __init__(
        self,
        detector: DxtbxDetector,
        oversample: int,
        point_pixel: bool,
        sensor_layers: int,
        layer_placement: float,
        thickness_mm: float,
        attenuation_length_mm: float,
        mask: flex.bool,
    ) -> None: ...
    @property
    def n_pixels(self) -> int: ...

class Sources:
    def __init__(
        self,
        directions: flex.double,
        wavelengths: flex.double,
        weights: flex.double,
        channels: flex.int,
        polarized: bool,
        kahn_factor: float,
        electric_vector: Tuple[float, float, float],
        fluence: float,
    ) -> None: ...

class Crystal:
    def __init__(
        self,
        model: DxtbxCrystal,
        mosaic_blocks: flex.double,
        axis: Tuple[float, float, float],
        start_deg: float,
        step_deg: float,
        steps: int,
        n_cells: Tuple[int, int, int],
        shape: str,
        scale: float,
    ) -> None: ...

class StructureFactors:
    def __init__(
        self,
        channels: List[Tuple[flex.miller_index, flex.double]],
        default_amplitude: float,
        F000: float,
    ) -> None: ...

class Amorphous:
    def __init__(self, stol: flex.double, amplitude: flex.double, molecules: float) -> None: ...

class HostPixels:
    @property
    def __array_interface__(self) -> dict[str, Any]: ...

class Image:
    def __init__(self, n_pixels: int) -> None: ...
    def __len__(self) -> int: ...
    def clear(self) -> None: ...
    def add(self, other: Image) -> None: ...
    def on_host(self) -> HostPixels: ...

class Backend(TypedDict):
    backend: str
    threads: int
    device: str
    kokkos: str
    compiler: str

def add_spots(
    image: Image,
    detector: Detector,
    sources: Sources,
    crystal: Crystal,
    structure_factors: StructureFactors,
    interpolation: str,
    engine: str,
    tolerance: Optional[float],
) -> None: ...
def engine_work(
    detector: Detector,
    sources: Sources,
    crystal: Crystal,
    structure_factors: StructureFactors,
    interpolation: str,
    tolerance: Optional[float],
) -> Tuple[float, float]: ...
def add_background(image: Image, detector: Detector, sources: Sources, amorphous: Amorphous) -> None: ...
def backend() -> Backend: ...
def stop() -> None: ...
