"""Kinds of detectors: what the steps from photons to counts are for them, where the parameters leave that open.

Each number has its source beside it; where there is none, it says so. A value that is given as a parameter wins.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """A kind of detector; the defaults describe one that counts photons without error.

    Args:
        quantum_gain: ADU per photon.
        readout_noise: standard deviation, ADU.
        adc_offset: ADU without photons.
        flicker: relative standard deviation of the beam's intensity from image to image.
        calibration_noise: relative standard deviation of the pixels' sensitivity, the same in all images.
        saturation: highest trusted count, ADU; None: the highest that fits the data type.
        data_type: type of the images, int32 or uint16.
        psf_fwhm_mm: default width of the point spread; None: light does not spread in this detector.
    """

    quantum_gain: float = 1.0
    readout_noise: float = 0.0
    adc_offset: float = 0.0
    flicker: float = 0.0
    calibration_noise: float = 0.0
    saturation: int | None = None
    data_type: str = "int32"
    psf_fwhm_mm: float | None = None


PRESETS = {
    "none": Preset(),
    # A CCD behind a phosphor and fibre tapers.
    "rayonix": Preset(
        # Assumed. dxtbx has 1.0 to 2.8 for Rayonix's older models and 1.0 for those that it does not know
        # (FormatTIFFRayonix, from data sheets and experience, to 20 %); scripts for diffBragg have 0.46 for one at an
        # XFEL. With 1, DIALS, which is told nothing of it, estimates errors well.
        quantum_gain=1.0,
        # Assumed: what simtbx takes for such detectors if nothing is said (nanoBragg.cpp, init_defaults). ExaFEL's LY99
        # has 1 for an MX340 (exafel_project, kpp_utils/ferredoxin.py).
        readout_noise=3.0,
        # As ExaFEL's LY99 for an MX340 (same file). Rayonix's files say it in their header (FormatTIFFRayonix). With
        # the noise above, the variance of background stays close to its mean.
        adc_offset=10.0,
        # What simtbx takes, and what J. Holton found to be the main relative error of such detectors ("ripple",
        # CCP4 bulletin board, 30 March 2009). LY99 has 0.01.
        calibration_noise=0.03,
        # 16 bits; the two highest values mark what is brighter, and what holds no measurement.
        saturation=65533,
        data_type="uint16",
        # simtbx's and LY99's. Of an ADSC Quantum 315r, Holton, Nielsen & Frankel, J. Synchrotron Rad. 19, 1006 (2012)
        # measured the solid angle of a pixel from 0.027 mm above it, which has half its height at a width of 0.041 mm.
        psf_fwhm_mm=0.08,
    ),
    # Integrates charge with three gains, calibrated to photons: Leonarski et al., Nat. Methods 15, 799 (2018).
    "jungfrau": Preset(
        # Below 100 electrons, of one for each 3.6 eV in silicon, at 12 keV: Mozzanica et al., J. Instrum. 11, C02047
        # (2016). As counts are whole photons, it hardly ever shows.
        readout_noise=0.03,
        # 10^4 photons of 12 keV (the same paper); over the noise above, these are the 110 dB of the European XFEL's
        # JUNGFRAU documentation ("JUNGFRAU basics").
        saturation=10000,
    ),
    # Counts photons with 20 bits (DECTRIS, PILATUS user manual 1.2, section 4.2, and PILATUS3 X CdTe, "High dynamic
    # range"), all set where there are more. What the count rate allows may be less: files say it as Count_cutoff.
    "pilatus": Preset(saturation=2**20 - 2),
    # Counts photons with the 16 bits of an EIGER2 (DECTRIS, EIGER2 user manual, section 3.2.5); in files of 16 bits,
    # 65535 marks pixels that hold no measurement. An EIGER X has 12 bits and sums frames up, to 32 bits at most
    # (DECTRIS, "Continuous readout and auto-summation"): for images of 32 bits, give data_type=int32 and the
    # saturation.
    "eiger": Preset(saturation=65533, data_type="uint16"),
    # Integrates charge; here in its low gain (assumed: bright spots need it), calibrated to photons of 8 keV.
    "cspad": Preset(
        # 3500 eV in low gain, and 1000 eV in high gain (SLAC, lcls.slac.stanford.edu/detectors/cspad).
        readout_noise=0.44,
        # Of 8 keV, in low gain; 350 in high gain (the same page).
        saturation=2700,
    ),
}
