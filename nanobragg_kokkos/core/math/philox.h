// Philox4x32-10: 128 random bits from a key and a counter (Salmon, Moraes, Dror & Shaw, SC11 (2011), "Parallel random
// numbers: as easy as 1, 2, 3").  There is no state: whoever knows seed, image, panel and pixel has the pixel's
// numbers, in any order, on any device.
#ifndef NANOBRAGG_KOKKOS_CORE_MATH_PHILOX_H
#define NANOBRAGG_KOKKOS_CORE_MATH_PHILOX_H

#include <Kokkos_Core.hpp>

#include <cstdint>

#include <nanobragg_kokkos/core/math/vector.h>

namespace nanobragg {

struct RandomBits {
  std::uint32_t word[4];
  NANOBRAGG_FUNCTION std::uint64_t low() const { return word[0] | std::uint64_t(word[1]) << 32; }
  NANOBRAGG_FUNCTION std::uint64_t high() const { return word[2] | std::uint64_t(word[3]) << 32; }
};

NANOBRAGG_FUNCTION void philox_round(RandomBits& c, std::uint32_t key0, std::uint32_t key1) {
  const std::uint64_t a = std::uint64_t(0xD2511F53u) * c.word[0], b = std::uint64_t(0xCD9E8D57u) * c.word[2];
  c = {{std::uint32_t(b >> 32) ^ c.word[1] ^ key0, std::uint32_t(b), std::uint32_t(a >> 32) ^ c.word[3] ^ key1,
        std::uint32_t(a)}};
}

NANOBRAGG_FUNCTION RandomBits philox(RandomBits counter, std::uint64_t key) {
  const std::uint32_t low = std::uint32_t(key), high = std::uint32_t(key >> 32), step0 = 0x9E3779B9u,
                      step1 = 0xBB67AE85u;
  // Written out, since compilers make vector code of a loop over pixels only if there is no loop inside.
  philox_round(counter, low, high);
  philox_round(counter, low + step0, high + step1);
  philox_round(counter, low + 2 * step0, high + 2 * step1);
  philox_round(counter, low + 3 * step0, high + 3 * step1);
  philox_round(counter, low + 4 * step0, high + 4 * step1);
  philox_round(counter, low + 5 * step0, high + 5 * step1);
  philox_round(counter, low + 6 * step0, high + 6 * step1);
  philox_round(counter, low + 7 * step0, high + 7 * step1);
  philox_round(counter, low + 8 * step0, high + 8 * step1);
  philox_round(counter, low + 9 * step0, high + 9 * step1);
  return counter;
}

// What numbers are drawn for: streams that share nothing.
enum class Purpose : std::uint32_t { flicker = 1, photons = 2, calibration = 3, readout = 4 };

// The streams of one purpose in one image.
struct RandomStream {
  std::uint64_t seed;
  std::uint32_t image;
  Purpose purpose;
  // attempt: where a pixel needs more than one block of bits, below 2^24.
  NANOBRAGG_FUNCTION RandomBits operator()(std::uint32_t panel, std::uint32_t pixel, std::uint32_t attempt = 0) const {
    return philox({{pixel, panel, image, std::uint32_t(purpose) << 24 | attempt}}, seed);
  }
};

// In (0, 1]; 64 bits, of which those next to 0 all count.
NANOBRAGG_FUNCTION double uniform(std::uint64_t bits) { return Kokkos::fma(double(bits), 0x1p-64, 0x1p-65); }

}  // namespace nanobragg
#endif
