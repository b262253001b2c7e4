// Random numbers against the published bits, and distributions against their definitions: exactly, not by drawing.
#include <algorithm>
#include <cmath>
#include <vector>

#include <nanobragg_kokkos/core/math/normal.h>
#include <nanobragg_kokkos/core/math/poisson.h>

#include "check.h"

using namespace nanobragg;

namespace {

// The first numbers on the device, where kernels use them.
template <class Function>
std::vector<double> on_device(int n, const Function& function) {
  start();
  DeviceBuffer<double> results("results", std::size_t(n));
  Kokkos::parallel_for(
      "numbers", Kokkos::RangePolicy<ExecutionSpace>(0, n), KOKKOS_LAMBDA(const int i) { results(i) = function(i); });
  std::vector<double> values(static_cast<std::size_t>(n));
  Kokkos::deep_copy(Kokkos::View<double*, Kokkos::HostSpace, Kokkos::MemoryUnmanaged>(values.data(), values.size()),
                    results);
  return values;
}

struct Word {
  RandomBits counter;
  std::uint64_t key;
  KOKKOS_FUNCTION double operator()(int i) const { return double(philox(counter, key).word[i]); }
};

void check_philox(const RandomBits& counter, std::uint64_t key, const RandomBits& expected) {
  const std::vector<double> words = on_device(4, Word{counter, key});
  for (int i = 0; i < 4; ++i) CHECK_CLOSE(words[std::size_t(i)], double(expected.word[i]), 0);
}

struct LogOf {
  double first, ratio;
  KOKKOS_FUNCTION double operator()(int i) const { return vectorizable_log(argument(i)); }
  KOKKOS_FUNCTION double argument(int i) const { return first * (1 + ratio * i); }
};

struct Deviate {
  KOKKOS_FUNCTION double operator()(int i) const {
    const NormalPair pair = normal_pair(bits(i / 2));
    return i % 2 ? pair.second : pair.first;
  }
  // Directions all round, and lengths from the smallest numbers to the largest.
  KOKKOS_FUNCTION static RandomBits bits(int i) {
    const std::uint64_t low = i % 7 == 0 ? std::uint64_t(i) : std::uint64_t(i) << 54,
                        high = std::uint64_t(i) * 0x3FFFFFFFFFFFFFu;
    return {{std::uint32_t(low), std::uint32_t(low >> 32), std::uint32_t(high), std::uint32_t(high >> 32)}};
  }
};

struct Few {
  double mean, first, step;
  KOKKOS_FUNCTION double operator()(int i) const {
    FewEvents few(mean, first + i * step);
    few.finish();
    return few.events;
  }
};

long double probability(long double mean, int events) {
  return std::exp(events * std::log(mean) - mean - std::lgamma(events + 1.0L));
}

struct Many {
  double mean;
  RandomBits bits;
  KOKKOS_FUNCTION double operator()(int) const { return many_events(mean, bits); }
};

// At the top of the envelope, from one end to the other.
struct ManyAtTheTop {
  double mean;
  int n;
  KOKKOS_FUNCTION double operator()(int i) const {
    const auto low = std::uint64_t((i + 0.5) / n * 0x1p64);
    return many_events(mean, {{std::uint32_t(low), std::uint32_t(low >> 32), 0xFFFFFFFFu, 0xFFFFFFFFu}});
  }
};

}  // namespace

// Known answers that come with the authors' own library, Random123.
TEST(philox_gives_the_published_bits) {
  check_philox({{0, 0, 0, 0}}, 0, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}});
  check_philox({{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}}, 0xffffffffffffffff,
               {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}});
  check_philox({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0x299f31d0a4093822,
               {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}});
}

TEST(logarithm_is_accurate) {
  for (const LogOf& f : {LogOf{0x1p-65, 0.37}, LogOf{0.5, 1e-4}, LogOf{0.7071067811865475, 1e-9},
                         LogOf{1 - 1e-7, 1e-10}, LogOf{1e9, 1e3}}) {
    const std::vector<double> values = on_device(3000, f);
    for (int i = 0; i < 3000; ++i) {
      const double x = f.argument(i), expected = double(std::log((long double)x));
      CHECK_CLOSE(values[std::size_t(i)], expected, 4e-16 * std::fabs(expected));
    }
  }
}

TEST(normal_deviates_follow_box_and_muller) {
  const int n = 4096;
  const std::vector<double> values = on_device(n, Deviate());
  for (int i = 0; i < n / 2; ++i) {
    const RandomBits bits = Deviate::bits(i);
    const long double u = (bits.low() + 0.5L) * 0x1p-64L, v = (bits.high() + 0.5L) * 0x1p-64L,
                      pi = 3.14159265358979323846264L;
    const long double radius = std::sqrt(-2 * std::log(u));
    // The turn is 2 v - 1 half turns: by a half turn less than usual, which changes both signs.
    CHECK_CLOSE(values[std::size_t(2 * i)], double(-radius * std::cos(2 * pi * v)), 2e-15 * double(radius));
    CHECK_CLOSE(values[std::size_t(2 * i + 1)], double(-radius * std::sin(2 * pi * v)), 2e-15 * double(radius));
  }
}

// What all 2^64 draws together give, by adding up the cells.
TEST(poisson_table_holds_the_distribution) {
  start();
  const PoissonTable table = poisson_table(ExecutionSpace());
  for (int mean = 0; mean < PoissonTable::means; ++mean) {
    const int n = PoissonTable::cells_of_mean;
    std::vector<std::uint64_t> cells(static_cast<std::size_t>(n));
    const auto part = Kokkos::subview(table.cells, std::make_pair(mean * n, (mean + 1) * n));
    Kokkos::deep_copy(
        Kokkos::View<std::uint64_t*, Kokkos::HostSpace, Kokkos::MemoryUnmanaged>(cells.data(), cells.size()), part);
    std::vector<long double> found(static_cast<std::size_t>(n));
    for (int k = 0; k < n; ++k) {
      const long double own = (long double)(cells[std::size_t(k)] >> 8) * 0x1p-56L / n;
      found[std::size_t(k)] += own;
      found[cells[std::size_t(k)] & 255] += 1.0L / n - own;
    }
    double most = 0;
    for (int k = 0; k < n; ++k) {
      const long double expected = mean == 0 ? (k == 0) : probability(mean, k);
      most = std::max(most, double(std::fabs(found[std::size_t(k)] - expected)));
    }
    CHECK_CLOSE(most, 0, 1e-17);
  }
}

// The uniform numbers at which the events change are the probabilities of at least so many.
TEST(few_events_are_drawn_by_inversion) {
  for (double mean : {1e-12, 1e-9, 1e-3, 0.25, 0.5, 0.9, 0.999999, 1.0}) {
    for (int events = 0; events < 16; ++events) {
      long double tail = 0;
      for (int k = events + 40; k > events; --k) tail += probability(mean, k);
      if (tail < 1e-15L * mean) break;
      const double edge = double(tail), slack = 4e-16 * mean;
      const std::vector<double> around = on_device(2, Few{mean, edge - slack, 2 * slack});
      CHECK(around[0] >= events + 1);
      CHECK(around[1] <= events);
    }
  }
}

// Of a grid of uniform pairs, the numbers that are accepted and those that are not follow from the formulas.
TEST(many_events_are_accepted_by_their_probability) {
  start();
  int accepted = 0, rejected = 0;
  for (double mean : {128.0, 130.5, 1000.0, 12345.6, 1e6, 1e9}) {
    for (int i = 1; i < 40; ++i)
      for (int j = 1; j < 20; ++j) {
        const double u = i / 40.0, v = j / 20.0;
        const auto low = std::uint64_t(u * 0x1p64), high = std::uint64_t(v * 0x1p64);
        const RandomBits bits{
            {std::uint32_t(low), std::uint32_t(low >> 32), std::uint32_t(high), std::uint32_t(high >> 32)}};
        const double got = Many{mean, bits}(0);
        const long double b = 0.931L + 2.53L * std::sqrt((long double)mean), a = -0.059L + 0.02483L * b,
                          us = 0.5L - std::fabs(u - 0.5L);
        const long double n = std::floor((2 * a / us + b) * (u - 0.5L) + mean + 0.43L);
        const long double inverse_alpha = 1.1239L + 1.1328L / (b - 3.4L);
        const long double left = std::log(1.002L * v * inverse_alpha / (a / (us * us) + b)),
                          right = n * std::log((long double)mean) - mean - std::lgamma(n + 1);
        if (n < 1 || std::fabs(left - right) < 1e-6L) continue;
        (left < right ? accepted : rejected) += 1;
        CHECK_CLOSE(got, left < right ? double(n) : -1, 0);
      }
  }
  CHECK(accepted > 1000 && rejected > 300);
}

// Where even the largest of uniform numbers is accepted, some number of events may come too rarely.
TEST(the_envelope_covers_the_distribution_of_many_events) {
  const int n = 20000;
  for (double mean : {128.0, 128.632, 128.658, 129.6, 130.5, 150.0, 200.0, 517.3, 1000.5, 3000.0, 1e4, 1e6, 1e9}) {
    int accepted = 0;
    for (double events : on_device(n, ManyAtTheTop{mean, n})) accepted += events >= 0;
    CHECK_CLOSE(accepted, 0, 0);
  }
}
