// SPDX-License-Identifier: Apache-2.0
// Tables to train on, and requests that train in a moment.
#ifndef MILLRACE_TESTS_CORE_TRAIN_TABLES_H_
#define MILLRACE_TESTS_CORE_TRAIN_TABLES_H_

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <numbers>
#include <random>
#include <span>
#include <string>
#include <utility>

#include "core/base/rows.h"
#include "core/cpu/cpu_backend.h"
#include "core/train/train_model.h"

namespace millrace {

// Independent standard normals.
inline Rows<double> NormalTable(std::int64_t rows, int cols, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Rows<double> table(rows, cols);
  for (std::int64_t i = 0; i < rows * cols; ++i) table.data()[i] = normal(random);
  return table;
}

// Two half circles that hold each other, each point moved by normal noise: not at all Gaussian.
struct TwoMoons {
  static constexpr double kNoise = 0.1;

  static std::pair<double, double> Curve(bool upper, double angle) {
    return upper ? std::pair(std::cos(angle), std::sin(angle))
                 : std::pair(1.0 - std::cos(angle), 0.5 - std::sin(angle));
  }
  static Rows<double> Table(std::int64_t rows, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> noise(0.0, kNoise);
    std::uniform_real_distribution<double> angle(0.0, std::numbers::pi);
    Rows<double> table(rows, 2);
    for (std::int64_t r = 0; r < rows; ++r) {
      const auto [x, y] = Curve(r % 2 == 0, angle(random));
      table(r, 0) = x + noise(random);
      table(r, 1) = y + noise(random);
    }
    return table;
  }
  // By the trapezoidal rule along the curves.
  static double LogDensity(double x, double y) {
    constexpr int kPoints = 400;
    double sum = 0.0;
    for (int i = 0; i <= kPoints; ++i)
      for (const bool upper : {true, false}) {
        const auto [a, b] = Curve(upper, std::numbers::pi * i / kPoints);
        const double squares = ((x - a) * (x - a) + (y - b) * (y - b)) / (kNoise * kNoise);
        sum += (i == 0 || i == kPoints ? 0.5 : 1.0) * std::exp(-0.5 * squares);
      }
    return std::log(sum / (2.0 * kPoints) / (2.0 * std::numbers::pi * kNoise * kNoise));
  }
};

// A few epochs of a small flow.
inline TrainRequest Quick(int epochs = 4) {
  TrainRequest request;
  request.flow.stack = {.layers = 2, .hidden_sizes = std::vector<int>{16, 16, 16}};
  request.options.max_epochs = epochs;
  request.options.seed = 7;
  return request;
}

inline absl::StatusOr<Model> Train(const TrainRequest& request, const Rows<double>& table,
                                   int threads = 2, const ProgressCallback& progress = {},
                                   std::stop_token stop = {}) {
  const std::unique_ptr<Backend> backend = CreateCpuBackend({.threads = threads});
  return TrainModel(request, table.view(), *backend, progress, std::move(stop));
}

// Bits, not values: -0 and 0 differ, NaN equals itself.
template <typename T>
bool SameBits(std::span<const T> a, std::span<const T> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

// Everything but the time it took.
inline void ExpectSameModel(const Model& a, const Model& b) {
  EXPECT_TRUE(SameBits<float>(a.parameters.span(), b.parameters.span()));
  EXPECT_TRUE(SameBits<double>(a.calibration.log_probs, b.calibration.log_probs));
  EXPECT_EQ(a.spec, b.spec);
  TrainingReport report = a.report;
  report.seconds = b.report.seconds;
  EXPECT_EQ(report, b.report);
}

inline bool AllFinite(std::span<const float> values) {
  for (const float v : values)
    if (!std::isfinite(v)) return false;
  return true;
}

}  // namespace millrace

#endif  // MILLRACE_TESTS_CORE_TRAIN_TABLES_H_
