// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CLIENT_CLI_TOYS_RANDOM_H_
#define MILLRACE_CLIENT_CLI_TOYS_RANDOM_H_

#include <cmath>
#include <cstdint>
#include <numbers>
#include <random>

namespace millrace::cli {

// Random numbers that depend on the seed alone: the words of the Mersenne twister are fixed by the
// C++ standard, what its distributions make of them is not, so they are not used.
class Random {
 public:
  explicit Random(std::uint64_t seed) : words_(seed) {}

  // In [0, 1), a multiple of 2^-53.
  double Uniform() { return static_cast<double>(words_() >> 11) * 0x1p-53; }

  // In 0 ... count - 1; the bias of a few 2^-53 is of no account for the handful of pieces of a
  // toy.
  int Index(int count) { return static_cast<int>(Uniform() * count); }

  // Standard normal (Box and Muller, 1958).
  double Normal() {
    const double radius = std::sqrt(-2 * std::log(1 - Uniform()));
    return radius * std::cos(2 * std::numbers::pi * Uniform());
  }

 private:
  std::mt19937_64 words_;
};

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_TOYS_RANDOM_H_
