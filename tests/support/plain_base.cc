// SPDX-License-Identifier: Apache-2.0
// Base distributions.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "core/exec/base_formulas.h"
#include "core/math/normal.h"
#include "tests/support/plain_kernels.h"
#include "tests/support/plain_views.h"

namespace millrace {
namespace {

auto ValueOf(Weights weights) {
  return [weights](const Slice& slice, int row, int column) {
    return At(weights, slice, row, column);
  };
}

// ln p(z) of one number under one component.
double LogDensity(const BaseLayer& layer, const BaseColumn& column, double z) {
  return WithBaseDensity(layer, column.shape, [&](const auto& density) {
    return density.LogDensity((z - column.location) * std::exp(-column.log_scale)) -
           column.log_scale;
  });
}

double WeightOf(const BaseLayer& layer, Weights weights, int component) {
  if (layer.components == 1) return 1.0;
  return std::exp(ReadBaseWeights(layer, ValueOf(weights)).log[component]);
}

// ln p of the first `cols` columns of a row under each component, weights included.
std::vector<double> JointLogDensity(const BaseLayer& layer, Weights weights, const ConstMatrix& z,
                                    int row, int cols) {
  std::vector<double> joint(layer.components);
  for (int k = 0; k < layer.components; ++k) {
    joint[k] = std::log(WeightOf(layer, weights, k));
    for (int c = 0; c < cols; ++c)
      joint[k] += LogDensity(layer, ReadBaseColumn(layer, k, c, ValueOf(weights)), At(z, row, c));
  }
  return joint;
}

double LogSum(const std::vector<double>& terms) {
  const double largest = *std::max_element(terms.begin(), terms.end());
  double sum = 0.0;
  for (const double t : terms) sum += std::exp(t - largest);
  return largest + std::log(sum);
}

// A sample in standard position and its derivative in the shape parameter.
struct StandardSample {
  double value;
  double shape_slope = 0.0;
};

StandardSample SampleStandard(const BaseLayer& layer, double shape, std::uint64_t seed,
                              std::uint64_t row, int c) {
  const auto words = NormalWords(seed, row, c / 4);
  const double v = SignedUniform(static_cast<double>(static_cast<std::int32_t>(words[c % 4])));
  switch (layer.kind) {
    case BaseLayer::Kind::kNormal: {
      const int pair = c % 4 / 2 * 2;
      const auto normals = BoxMuller<double>(words[pair], words[pair + 1]);
      return {c % 2 == 0 ? normals.first : normals.second};
    }
    case BaseLayer::Kind::kUniform:
      return {CentredUniformSample(v)};
    case BaseLayer::Kind::kLogistic:
      return {LogisticSample(v)};
    case BaseLayer::Kind::kStudentT: {
      const StudentTDensity density(shape);
      const auto own = NormalWords(seed, row, c / 2);
      const auto sample =
          SampleStudentT<double>(density.freedom, own[c % 2 * 2], own[c % 2 * 2 + 1]);
      return {sample.value, sample.freedom_slope * density.freedom_slope};
    }
  }
  return {0.0};
}

void AddTo(Gradients gradients, const Slice& slice, int row, int column, double bar) {
  if (slice.rows > 0 && !gradients.empty()) At(gradients, slice, row, column) += bar;
}

}  // namespace

void PlainKernels::BaseLogDensity(const BaseLayer& layer, Weights weights, const ConstMatrix& z,
                                  Arena&, Vector log_p, Vectors column_log_p) const {
  for (int r = 0; r < z.rows; ++r) {
    if (column_log_p.empty()) {
      log_p.data[r] += LogSum(JointLogDensity(layer, weights, z, r, z.cols));
      continue;
    }
    for (int c = 0; c < z.cols; ++c)
      column_log_p[c].data[r] += LogSum(JointLogDensity(layer, weights, z, r, c + 1)) -
                                 LogSum(JointLogDensity(layer, weights, z, r, c));
  }
}

void PlainKernels::BaseLogDensityAdjoint(const BaseLayer& layer, Weights weights,
                                         const ConstMatrix& z, ConstVector log_p_bar, Arena&,
                                         const Matrix& grad, Gradients gradients) const {
  for (int r = 0; r < z.rows; ++r) {
    const std::vector<double> joint = JointLogDensity(layer, weights, z, r, z.cols);
    std::vector<double> z_bar(z.cols, 0.0);
    for (int k = 0; k < layer.components; ++k) {
      const double bar = log_p_bar.data[r] * std::exp(joint[k] - LogSum(joint));
      AddTo(gradients, layer.logits, 0, k, bar - log_p_bar.data[r] * WeightOf(layer, weights, k));
      for (int c = 0; c < z.cols; ++c) {
        const BaseColumn column = ReadBaseColumn(layer, k, c, ValueOf(weights));
        const double inverse_scale = std::exp(-column.log_scale);
        const double w = (At(z, r, c) - column.location) * inverse_scale;
        WithBaseDensity(layer, column.shape, [&](const auto& density) {
          const double slope = density.Slope(w);
          z_bar[c] += bar * slope * inverse_scale;
          AddTo(gradients, layer.location, k, c, -bar * slope * inverse_scale);
          AddTo(gradients, layer.log_scale, k, c, -bar * (1 + slope * w) * column.scale_slope);
          AddTo(gradients, layer.shape, 0, c, bar * density.ShapeSlope(w));
        });
      }
    }
    for (int c = 0; c < z.cols; ++c) At(grad, r, c) = z_bar[c];
  }
}

void PlainKernels::SampleBase(const BaseLayer& layer, Weights weights,
                              std::span<const SampleKey> keys, const Matrix& z) const {
  const bool uniform = layer.kind == BaseLayer::Kind::kUniform;
  for (int r = 0; r < z.rows; ++r) {
    const auto [seed, row, temperature] = keys[r];
    int component = 0;
    if (layer.components > 1)
      component = DrawComponent(ReadBaseWeights(layer, ValueOf(weights)), seed, row);
    for (int c = 0; c < z.cols; ++c) {
      const BaseColumn column = ReadBaseColumn(layer, component, c, ValueOf(weights));
      const double sample = SampleStandard(layer, column.shape, seed, row, c).value;
      At(z, r, c) = uniform ? 0.5 * (layer.low + layer.high) +
                                  std::fmin(temperature, 1.0) * (layer.high - layer.low) * sample
                            : column.location + temperature * std::exp(column.log_scale) * sample;
    }
  }
}

void PlainKernels::SampleBaseAdjoint(const BaseLayer& layer, Weights weights, std::uint64_t seed,
                                     std::uint64_t first_row, const ConstMatrix& z,
                                     const ConstMatrix& grad, Arena&, Gradients gradients) const {
  for (int r = 0; r < z.rows; ++r) {
    for (int c = 0; c < z.cols; ++c) {
      const BaseColumn column = ReadBaseColumn(layer, 0, c, ValueOf(weights));
      const StandardSample sample = SampleStandard(layer, column.shape, seed, first_row + r, c);
      const double bar = At(grad, r, c), scale = std::exp(column.log_scale);
      AddTo(gradients, layer.location, 0, c, bar);
      AddTo(gradients, layer.log_scale, 0, c, bar * scale * sample.value * column.scale_slope);
      AddTo(gradients, layer.shape, 0, c, bar * scale * sample.shape_slope);
    }
  }
}

}  // namespace millrace
