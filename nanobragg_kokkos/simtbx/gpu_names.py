"""The names of simtbx's extension modules simtbx_kokkos_ext and simtbx_gpu_ext, which are the same here."""

from __future__ import annotations

from nanobragg_kokkos.simtbx.channels import gpu_energy_channels
from nanobragg_kokkos.simtbx.device import gpu_instance
from nanobragg_kokkos.simtbx.diffuse import diffuse_api
from nanobragg_kokkos.simtbx.exascale import exascale_api, exascale_api_small_whitelist
from nanobragg_kokkos.simtbx.gpu_panels import gpu_detector, gpu_detector_small_whitelist

__all__ = [
    "diffuse_api",
    "exascale_api",
    "exascale_api_small_whitelist",
    "gpu_detector",
    "gpu_detector_small_whitelist",
    "gpu_energy_channels",
    "gpu_instance",
    "kokkos_instance",
]

kokkos_instance = gpu_instance  # its name in older versions
