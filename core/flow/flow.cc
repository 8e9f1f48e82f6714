// SPDX-License-Identifier: Apache-2.0
#include "core/flow/flow.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/flow/architectures.h"

namespace millrace {

absl::StatusOr<std::shared_ptr<const Flow>> Flow::Create(const FlowSpec& spec) {
  MILLRACE_RETURN_IF_ERROR(Validate(spec));
  const double parameters = EstimateParameters(spec);
  if (parameters > static_cast<double>(kMaxParameters))
    return absl::ResourceExhaustedError(absl::StrCat("flow: about ", parameters,
                                                     " parameters, at most ", kMaxParameters,
                                                     " are allowed; use fewer or narrower layers"));
  std::shared_ptr<Flow> flow(new Flow(spec));
  flow->transforms_ = BuildTransforms(spec, flow->layout_);
  return flow;
}

ParameterValues Flow::InitialParameters() const {
  ParameterValues values(layout_.size());
  for (std::size_t i = 0; i < transforms_.size(); ++i) {
    // Each transform draws from a seed of its own.
    transforms_[i]->Initialise(spec_.seed ^ (0xD1B54A32D192ED03u * (i + 1)), values.span());
  }
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
  pass.kernels.NormalLogDensity(x, log_p);
}

void Flow::LogProbBackward(Pass& pass, Matrix z, ConstVector log_p_bar) const {
  pass.kernels.NormalLogDensityAdjoint(z, log_p_bar, z);
  for (std::size_t i = transforms_.size(); i-- > 0;) transforms_[i]->Backward(pass, z, log_p_bar);
}

bool Flow::IsTriangular(std::span<const float> parameters) const {
  return std::all_of(transforms_.begin(), transforms_.end(),
                     [&](const auto& transform) { return transform->IsTriangular(parameters); });
}

}  // namespace millrace
