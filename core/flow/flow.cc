// SPDX-License-Identifier: Apache-2.0
#include "core/flow/flow.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/flow/architectures.h"
#include "core/flow/chain.h"
#include "core/flow/image_chain.h"

namespace millrace {

absl::StatusOr<std::shared_ptr<const Flow>> Flow::Create(const FlowSpec& spec) {
  MILLRACE_RETURN_IF_ERROR(Validate(spec));
  const double parameters = EstimateParameters(spec);
  if (parameters > static_cast<double>(kMaxParameters))
    return absl::ResourceExhaustedError(
        absl::StrCat("flow: about ", parameters, " parameters with their padding, at most ",
                     kMaxParameters, " are allowed; use fewer or narrower layers"));
  std::shared_ptr<Flow> flow(new Flow(spec));
  flow->transforms_ =
      spec.image
          ? BuildImageChain(ChainOf(spec), *spec.image, spec.context_dim, spec.seed, flow->layout_)
          : BuildChain(ChainOf(spec), spec.dim, spec.context_dim, spec.seed, flow->layout_);
  flow->base_.emplace(spec.base, spec.dim, flow->layout_);
  return flow;
}

std::int64_t Flow::ProductsOfRow() const {
  constexpr std::int64_t kOfFormula = 32;  // of a column: an exponential and what stands around it
  int uses = 1;
  for (const auto& transform : transforms_) uses = std::max(uses, transform->UsesOfParameters());
  return static_cast<std::int64_t>(layout_.size()) * uses +
         kOfFormula * dim() * std::ssize(transforms_);
}

ParameterValues Flow::InitialParameters() const {
  ParameterValues values(layout_.size());
  // Each transform, and the base, draws from a seed of its own.
  const auto seed = [&](std::size_t i) { return spec_.seed ^ (0xD1B54A32D192ED03u * (i + 1)); };
  for (std::size_t i = 0; i < transforms_.size(); ++i)
    transforms_[i]->Initialise(seed(i), values.span());
  base_->Initialise(seed(transforms_.size()), values.span());
  return values;
}

void Flow::Forward(Pass& pass, Matrix x, Vector log_det) const {
  std::fill_n(log_det.data, RoundUp(log_det.size, kRowAlign), 0.0);
  for (const auto& transform : transforms_) transform->Forward(pass, x, log_det);
}

void Flow::Inverse(Pass& pass, Matrix z, Vector log_det) const {
  std::fill_n(log_det.data, RoundUp(log_det.size, kRowAlign), 0.0);
  for (std::size_t i = transforms_.size(); i-- > 0;) transforms_[i]->Inverse(pass, z, log_det);
}

void Flow::LogProb(Pass& pass, Matrix x, Vector log_p) const {
  Forward(pass, x, log_p);
  base_->LogDensity(pass, x, log_p);
}

void Flow::LogProbBackward(Pass& pass, Matrix z, ConstVector log_p_bar) const {
  base_->LogDensityBackward(pass, z, log_p_bar);
  for (std::size_t i = transforms_.size(); i-- > 0;) transforms_[i]->Backward(pass, z, log_p_bar);
}

void Flow::Sample(Pass& pass, std::uint64_t seed, std::uint64_t first_row, Matrix x,
                  Vector log_q) const {
  base_->Sample(pass, seed, first_row, 1.0, x);
  Record(pass, x);
  const Vector log_base = pass.arena.NewVector(x.rows);
  std::fill_n(log_base.data, RoundUp(x.rows, kRowAlign), 0.0);
  base_->LogDensity(pass, x, log_base);
  Inverse(pass, x, log_q);  // its log-det
  for (int r = 0; r < x.rows; ++r) log_q.data[r] = log_base.data[r] - log_q.data[r];
}

void Flow::SampleBackward(Pass& pass, std::uint64_t seed, std::uint64_t first_row, ConstMatrix x,
                          Matrix x_bar, ConstVector log_q_bar) const {
  Pass at_x = pass;  // no parameter's gradient, no context's
  at_x.gradients = {};
  at_x.context_bar = {};
  const Matrix slope = pass.arena.NewMatrix(x.rows, x.cols);
  pass.kernels.Copy(x, slope);
  LogProb(at_x, slope, pass.arena.NewVector(x.rows));
  LogProbBackward(at_x, slope, log_q_bar);
  pass.kernels.Add(slope, x_bar);
  const Vector none = pass.arena.NewVector(x.rows);
  std::fill_n(none.data, RoundUp(x.rows, kRowAlign), 0.0);
  for (const auto& transform : transforms_) transform->InverseBackward(pass, x_bar, none);
  base_->SampleBackward(pass, seed, first_row, pass.tape->Pop(), x_bar);
}

bool Flow::IsTriangular(std::span<const float> parameters) const {
  return std::all_of(transforms_.begin(), transforms_.end(),
                     [&](const auto& transform) { return transform->IsTriangular(parameters); });
}

}  // namespace millrace
