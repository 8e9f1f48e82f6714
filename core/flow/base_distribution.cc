// SPDX-License-Identifier: Apache-2.0
#include "core/flow/base_distribution.h"

#include <algorithm>
#include <cmath>

#include "core/base/check.h"
#include "core/math/affine.h"
#include "core/math/normal.h"

namespace millrace {
namespace {

// A mixture's means have this variance at first, its components what is missing to 1.
constexpr double kVarianceOfMeans = 0.36;

BaseLayer::Kind KindOf(BaseSpec::Kind kind) {
  switch (kind) {
    case BaseSpec::Kind::kStandardNormal:
    case BaseSpec::Kind::kDiagonalNormal:
    case BaseSpec::Kind::kNormalMixture:
      return BaseLayer::Kind::kNormal;
    case BaseSpec::Kind::kUniform:
      return BaseLayer::Kind::kUniform;
    case BaseSpec::Kind::kLogistic:
      return BaseLayer::Kind::kLogistic;
    case BaseSpec::Kind::kStudentT:
      return BaseLayer::Kind::kStudentT;
  }
  MILLRACE_CHECK(false);
  return BaseLayer::Kind::kNormal;
}

}  // namespace

BaseDistribution::BaseDistribution(const BaseSpec& spec, int dim, ParameterLayout& layout) {
  layer_.kind = KindOf(spec.kind);
  layer_.low = spec.low;
  layer_.high = spec.high;
  const bool mixture = spec.kind == BaseSpec::Kind::kNormalMixture;
  const bool freedom = spec.kind == BaseSpec::Kind::kStudentT;
  if (mixture) {
    layer_.components = spec.components;
    layer_.logits = layout.Add("base.logits", 1, spec.components, false);
  }
  if (mixture || freedom || spec.kind == BaseSpec::Kind::kDiagonalNormal) {
    layer_.location = layout.Add("base.location", layer_.components, dim, false);
    layer_.log_scale = layout.Add("base.log_scale", layer_.components, dim, false);
  }
  if (freedom) layer_.shape = layout.Add("base.freedom", 1, dim, false);
}

void BaseDistribution::LogDensity(Pass& pass, ConstMatrix z, Vector log_p) const {
  pass.kernels.BaseLogDensity(layer_, pass.weights, z, pass.arena, log_p, pass.column_log_det);
}

void BaseDistribution::LogDensityBackward(Pass& pass, Matrix z, ConstVector log_p_bar) const {
  pass.kernels.BaseLogDensityAdjoint(layer_, pass.weights, z, log_p_bar, pass.arena, z,
                                     pass.gradients);
}

void BaseDistribution::Sample(Pass& pass, std::span<const SampleKey> keys, Matrix z) const {
  MILLRACE_CHECK(keys.size() == static_cast<std::size_t>(z.rows));
  pass.kernels.SampleBase(layer_, pass.weights, keys, z);
}

void BaseDistribution::Sample(Pass& pass, std::uint64_t seed, std::uint64_t first_row,
                              double temperature, Matrix z) const {
  const Arena::Scope scope(pass.arena);
  const std::span<SampleKey> keys = pass.arena.NewArray<SampleKey>(z.rows);
  for (std::size_t r = 0; r < keys.size(); ++r) keys[r] = {seed, first_row + r, temperature};
  Sample(pass, keys, z);
}

void BaseDistribution::SampleBackward(Pass& pass, std::uint64_t seed, std::uint64_t first_row,
                                      ConstMatrix z, ConstMatrix grad) const {
  MILLRACE_CHECK(layer_.components == 1);
  if (layer_.location.rows == 0 || pass.gradients.empty()) return;
  pass.kernels.SampleBaseAdjoint(layer_, pass.weights, seed, first_row, z, grad, pass.arena,
                                 pass.gradients);
}

void BaseDistribution::Initialise(std::uint64_t seed, std::span<float> parameters) const {
  const auto row = [&](const Slice& slice, int r) {
    return parameters.subspan(slice.offset + static_cast<std::size_t>(r) * slice.ld,
                              static_cast<std::size_t>(slice.cols));
  };
  for (const Slice& slice : {layer_.logits, layer_.location, layer_.log_scale, layer_.shape})
    for (int r = 0; r < slice.rows; ++r) std::ranges::fill(row(slice, r), 0.0f);
  if (layer_.components == 1) return;
  const auto log_scale =
      static_cast<float>(SoftClipInverse(0.5 * std::log(1.0 - kVarianceOfMeans)));
  for (int k = 0; k < layer_.components; ++k) {
    std::ranges::fill(row(layer_.log_scale, k), log_scale);
    const std::span<float> means = row(layer_.location, k);
    for (std::size_t c = 0; c < means.size(); ++c) {
      const auto words =
          NormalWords(seed, static_cast<std::uint64_t>(k), static_cast<std::uint32_t>(c));
      means[c] = static_cast<float>(std::sqrt(kVarianceOfMeans) *
                                    BoxMuller<double>(words[0], words[1]).first);
    }
  }
}

}  // namespace millrace
