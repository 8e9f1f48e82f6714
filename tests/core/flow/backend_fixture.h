// SPDX-License-Identifier: Apache-2.0
// A small conditional flow with random parameters and rows, for tests of the processor's backend.
#ifndef MILLRACE_TESTS_CORE_FLOW_BACKEND_FIXTURE_H_
#define MILLRACE_TESTS_CORE_FLOW_BACKEND_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "core/cpu/cpu_backend.h"
#include "core/flow/backend.h"
#include "tests/support/numeric.h"
#include "tests/support/random_parameters.h"
#include "tests/support/runner.h"

namespace millrace {

inline constexpr int kRows = 333;
inline constexpr int kContext = 2;

// Bits, not values: -0 and 0 differ, NaN equals itself.
template <typename T>
void ExpectSameBits(std::span<const T> a, std::span<const T> b) {
  ASSERT_EQ(a.size(), b.size());
  ASSERT_EQ(std::memcmp(a.data(), b.data(), a.size_bytes()), 0);
}

template <typename T>
std::span<const T> All(const Rows<T>& rows) {
  return {rows.data(), static_cast<std::size_t>(rows.rows()) * rows.cols()};
}

inline Rows<float> Floats(const Rows<double>& rows) {
  Rows<float> floats(rows.rows(), rows.cols());
  std::copy_n(rows.data(), rows.rows() * rows.cols(), floats.data());
  return floats;
}

struct Output {
  Rows<float> rows;
  std::vector<double> values;
};

class BackendTest : public testing::Test {
 protected:
  BackendTest() {
    const StackSpec maf{.layers = 3,
                        .hidden_sizes = {24, 24, 24},
                        .residual = true,
                        .mixing = Mixing::kLu,
                        .activation = Activation::kTanh,
                        .act_norm = true};
    flow_ = *Flow::Create({.dim = 7, .context_dim = kContext, .seed = 5, .stack = maf});
    parameters_ = AsFloats(RandomParameters(*flow_, 3));
    std::mt19937_64 random(6);
    x_ = Floats(RandomRows(random, kRows, flow_->dim()));
    context_ = Floats(RandomRows(random, kRows, kContext));
  }

  static std::unique_ptr<Backend> NewBackend(int threads) {
    return CreateCpuBackend({.threads = threads});
  }
  std::shared_ptr<const DeviceWeights> Upload(Backend& backend) const {
    return *backend.Upload(flow_, parameters_.span());
  }

  TrainState FreshState() const {
    TrainState state;
    state.parameters = parameters_;
    return state;
  }
  std::vector<double> LogProbOf(Backend& backend, std::int64_t begin, std::int64_t count) const {
    std::vector<double> values(count);
    EXPECT_TRUE(backend
                    .LogProb(*Upload(backend), x_.view().Slice(begin, count),
                             context_.view().Slice(begin, count), values, {})
                    .ok());
    return values;
  }
  Output SampleOf(Backend& backend, std::int64_t begin, std::int64_t count) const {
    Output out{Rows<float>(count, flow_->dim()), std::vector<double>(count)};
    EXPECT_TRUE(backend
                    .Sample(*Upload(backend), 9, static_cast<std::uint64_t>(begin), 0.8,
                            context_.view().Slice(begin, count), out.rows.view(), out.values, {})
                    .ok());
    return out;
  }

  // The fixture's rows and parameters in double.
  Point ExactPoint() const {
    Point point{{parameters_.data(), parameters_.data() + parameters_.size()},
                Rows<double>(kRows, flow_->dim()),
                Rows<double>(kRows, kContext)};
    std::copy_n(x_.data(), kRows * flow_->dim(), point.rows.data());
    std::copy_n(context_.data(), kRows * kContext, point.context.data());
    return point;
  }

  std::shared_ptr<const Flow> flow_;
  ParameterValues parameters_;
  Rows<float> x_;
  Rows<float> context_;
};

}  // namespace millrace

#endif  // MILLRACE_TESTS_CORE_FLOW_BACKEND_FIXTURE_H_
