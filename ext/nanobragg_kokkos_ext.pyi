from __future__ import annotations

from typing import Any, TypedDict, overload

import numpy as np
from cctbx.array_family import flex
from dxtbx.model import Crystal as DxtbxCrystal
from dxtbx.model import Detector as DxtbxDetector

Vector = tuple[float, float, float]

# origin (mm), fast and slow axis, side of a pixel (mm), pixels along fast and slow
Panel = tuple[Vector, Vector, Vector, float, tuple[int, int]]

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
        electric_vector: tuple[float, float, float],
        fluence: float,
    ) -> None: ...

class Crystal:
    def __init__(
        self,
        model: DxtbxCrystal,
        mosaic_blocks: flex.double,
        axis: tuple[float, float, float],
        start_deg: float,
        step_deg: float,
        steps: int,
        n_cells: tuple[float, float, float],
        shape: str,
        scale: float,
    ) -> None: ...

class StructureFactors:
    @overload
    def __init__(
        self,
        channels: list[tuple[flex.miller_index, flex.double]],
        default_amplitude: float,
        F000: float,
    ) -> None: ...
    @overload
    def __init__(
        self,
        amplitudes: np.ndarray,
        strongest: np.ndarray,
        low: tuple[int, int, int],
        size: tuple[int, int, int],
        n_channels: int,
    ) -> None: ...

class Amorphous:
    def __init__(self, stol: flex.double, amplitude: flex.double, molecules: float) -> None: ...

class HostArray:
    @property
    def __array_interface__(self) -> dict[str, Any]: ...

class Workspace:
    def __init__(self) -> None: ...

class Image:
    def __init__(self, workspace: Workspace, n_pixels: int) -> None: ...
    def __len__(self) -> int: ...
    def clear(self, workspace: Workspace) -> None: ...
    def add(self, workspace: Workspace, other: Image) -> None: ...
    def add_array(self, workspace: Workspace, pixels: flex.double) -> None: ...
    def swap(self, other: Image) -> None: ...
    def on_host(self, workspace: Workspace) -> HostArray: ...

class PointSpread:
    def __init__(self, shape: str, fwhm_mm: float, radius: int, added_back: str) -> None: ...

class Blur:
    def __init__(self, workspace: Workspace, detector: Detector, point_spread: PointSpread, method: str) -> None: ...
    def apply(self, workspace: Workspace, photons: Image, blurred: Image) -> None: ...
    @property
    def method(self) -> str: ...

class Counts:
    def on_host(self) -> HostArray: ...

class Readout:
    def __init__(
        self,
        workspace: Workspace,
        detector: Detector,
        photon_noise: bool,
        flicker: float,
        calibration_noise: float,
        calibration_seed: int,
        point_spread: PointSpread | None,
        quantum_gain: float,
        readout_noise: float,
        adc_offset: float,
        type: str,
        saturation: float,
        mask: flex.bool,
    ) -> None: ...
    def start(self, workspace: Workspace, expected: Image, seed: int, image: int) -> Counts: ...

class Ceilings(TypedDict):
    bytes_per_second: float
    fma_per_second: float

class Backend(TypedDict):
    backend: str
    threads: int
    device: str
    kokkos: str
    compiler: str

class Tangents:
    def __init__(
        self,
        detector: Detector,
        sources: Sources,
        n_blocks: int,
        common: flex.double,
        blocks: flex.double,
        weights: flex.double,
        panels: flex.double,
    ) -> None: ...
    def __len__(self) -> int: ...

class Jacobian:
    def __init__(self, workspace: Workspace, n_parameters: int, n_pixels: int) -> None: ...
    def clear(self, workspace: Workspace) -> None: ...
    def add_spots(
        self,
        workspace: Workspace,
        detector: Detector,
        sources: Sources,
        crystal: Crystal,
        structure_factors: StructureFactors,
        interpolation: str,
        tangents: Tangents,
        engine: str,
        tolerance: float | None,
    ) -> None: ...
    def add_background(
        self, workspace: Workspace, detector: Detector, sources: Sources, amorphous: Amorphous, tangents: Tangents
    ) -> None: ...
    def image(self, workspace: Workspace) -> HostArray: ...
    def derivatives(self, workspace: Workspace) -> HostArray: ...

def add_spots(
    workspace: Workspace,
    image: Image,
    detector: Detector,
    sources: Sources,
    crystal: Crystal,
    structure_factors: StructureFactors,
    interpolation: str,
    engine: str,
    tolerance: float | None,
) -> None: ...
def engine_work(
    workspace: Workspace,
    detector: Detector,
    sources: Sources,
    crystal: Crystal,
    structure_factors: StructureFactors,
    interpolation: str,
    tolerance: float | None,
) -> tuple[float, float]: ...
def add_background(
    workspace: Workspace, image: Image, detector: Detector, sources: Sources, amorphous: Amorphous
) -> None: ...
def backend() -> Backend: ...
def stop() -> None: ...

class Workload:
    @property
    def name(self) -> str: ...
    @property
    def steps(self) -> list[str]: ...
    @property
    def engines(self) -> list[str]: ...
    @property
    def scaled(self) -> str: ...
    @property
    def factor(self) -> int: ...
    @property
    def panels(self) -> list[Panel]: ...
    @property
    def wavelengths(self) -> flex.double: ...
    @property
    def channels(self) -> int: ...
    @property
    def polarization_fraction(self) -> float: ...
    @property
    def fluence(self) -> float: ...
    @property
    def beam_size_mm(self) -> float: ...
    @property
    def water_mm(self) -> float: ...
    @property
    def air_mm(self) -> float: ...
    @property
    def cell_edges(self) -> Vector: ...
    @property
    def d_min(self) -> float: ...
    @property
    def mosaic_blocks(self) -> flex.double: ...
    @property
    def n_cells(self) -> tuple[int, int, int]: ...
    @property
    def shape(self) -> str: ...
    @property
    def volume_mm3(self) -> float: ...
    @property
    def rotation_deg(self) -> float: ...
    @property
    def rotation_steps(self) -> int: ...
    @property
    def readout_noise(self) -> float: ...
    @property
    def adc_offset(self) -> float: ...
    @property
    def saturation(self) -> float: ...
    @property
    def spread_fwhm_mm(self) -> float: ...
    @property
    def spread_radius(self) -> int: ...
    @property
    def images(self) -> int: ...
    @property
    def n_pixels(self) -> int: ...
    @property
    def bytes_of_counts(self) -> float: ...
    @property
    def evaluations(self) -> float: ...
    def floor_seconds(self, step: str, of: str, bytes_per_second: float, fma_per_second: float) -> float: ...

def workload_names() -> list[str]: ...
def workloads(name: str, small: bool) -> list[Workload]: ...
def random_orientation(image: int) -> flex.double: ...
def reflections(cell_edges: Vector, d_min: float) -> flex.miller_index: ...
def random_amplitudes(indices: flex.miller_index, channel: int) -> flex.double: ...
def measure_ceilings() -> Ceilings: ...
def watch_memory() -> None: ...
def peak_memory() -> int: ...
