// SPDX-License-Identifier: Apache-2.0
#include "tests/support/random_parameters.h"

#include <cmath>
#include <random>

#include "tests/support/numeric.h"
#include "tests/support/plain_kernels.h"
#include "tests/support/runner.h"

namespace millrace {
namespace {

// Rows so many and so wide that hardly a hidden unit is idle on all of them.
constexpr int kRows = 64;
constexpr double kRowScale = 10.0;

std::vector<double> Draw(const ParameterLayout& layout, std::mt19937_64& random) {
  std::vector<double> values(layout.size());
  for (const auto& [name, slice, decays, statistic, gain] : layout.entries()) {
    const double scale = slice.rows > 1 ? 0.7 / std::sqrt(slice.cols) : 0.3;
    for (int r = 0; r < slice.rows; ++r)
      for (int c = 0; c < slice.cols; ++c)
        values[slice.offset + static_cast<std::size_t>(r) * slice.ld + c] =
            statistic ? static_cast<float>(0.5 + std::fabs(RandomNormal(random, scale)))
                      : RandomNormal(random, scale);
  }
  return values;
}

// Often enough for iterative constraints to hold.
std::vector<double> Constrained(const std::vector<const Transform*>& transforms,
                                const std::vector<double>& parameters) {
  ParameterValues values = AsFloats(parameters);
  for (int round = 0; round < 50; ++round)
    for (const Transform* transform : transforms) transform->Constrain(values.span());
  return {values.data(), values.data() + values.size()};
}

std::vector<double> ZeroWhereUnused(std::vector<double> parameters,
                                    const std::vector<double>& gradient) {
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (gradient[i] == 0.0) parameters[i] = 0.0;
  return parameters;
}

}  // namespace

std::vector<double> RandomParameters(const Transform& transform, const ParameterLayout& layout,
                                     int dim, int context_dim, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const Point point{Draw(layout, random), RandomRows(random, kRows, dim, kRowScale),
                    RandomRows(random, kRows, context_dim, kRowScale)};
  const Functional functional{RandomRows(random, kRows, dim), std::vector<double>(kRows, 1.0)};
  return Constrained(
      {&transform},
      ZeroWhereUnused(
          point.parameters,
          Adjoint(PlainKernels(), transform, Direction::kForward, point, functional).parameters));
}

std::vector<double> RandomParameters(const Flow& flow, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const Point point{Draw(flow.layout(), random), RandomRows(random, kRows, flow.dim(), kRowScale),
                    RandomRows(random, kRows, flow.spec().context_dim, kRowScale)};
  std::vector<const Transform*> transforms;
  for (const auto& transform : flow.transforms()) transforms.push_back(transform.get());
  return Constrained(
      transforms,
      ZeroWhereUnused(
          point.parameters,
          LogProbAdjoint(PlainKernels(), flow, point, std::vector<double>(kRows, 1.0)).parameters));
}

std::vector<double> InitialParameters(const Transform& transform, const ParameterLayout& layout,
                                      std::uint64_t seed) {
  ParameterValues values(layout.size());
  transform.Initialise(seed, values.span());
  return {values.data(), values.data() + values.size()};
}

std::vector<double> InitialParameters(const Flow& flow) {
  const ParameterValues values = flow.InitialParameters();
  return {values.data(), values.data() + values.size()};
}

ParameterValues AsFloats(const std::vector<double>& parameters) {
  ParameterValues values(parameters.size());
  for (std::size_t i = 0; i < parameters.size(); ++i) values[i] = static_cast<float>(parameters[i]);
  return values;
}

}  // namespace millrace
