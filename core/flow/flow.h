// SPDX-License-Identifier: Apache-2.0
// A normalizing flow: a chain of transforms that ends in a base distribution.
//   log p(x) = log p_base(z) + log|det dz/dx|,  z = Forward(x)
#ifndef MILLRACE_CORE_FLOW_FLOW_H_
#define MILLRACE_CORE_FLOW_FLOW_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/matrix.h"
#include "core/exec/parameters.h"
#include "core/exec/pass.h"
#include "core/flow/base_distribution.h"
#include "core/flow/flow_spec.h"
#include "core/transforms/transform.h"

namespace millrace {

// Immutable, thread-safe, without parameters of its own: those come through `Pass`.
class Flow {
 public:
  // INVALID_ARGUMENT when the spec contradicts itself (see Validate), RESOURCE_EXHAUSTED when it
  // has more than kMaxParameters parameters, their padding included.
  static absl::StatusOr<std::shared_ptr<const Flow>> Create(const FlowSpec& spec);
  static constexpr std::size_t kMaxParameters = std::size_t{1} << 28;

  const FlowSpec& spec() const { return spec_; }
  int dim() const { return spec_.dim; }
  const ParameterLayout& layout() const { return layout_; }
  std::span<const std::unique_ptr<const Transform>> transforms() const { return transforms_; }
  const BaseDistribution& base() const { return *base_; }

  // Products that one row takes, about, the dearer way, masked ones and those of formulas included.
  std::int64_t ProductsOfRow() const;

  // Parameters of an untrained flow, a pure function of the spec.
  ParameterValues InitialParameters() const;

  // In place on a block; log_det is written, not added to.
  void Forward(Pass& pass, Matrix x, Vector log_det) const;
  void Inverse(Pass& pass, Matrix z, Vector log_det) const;

  // log_p of each row; x is used as scratch and holds z afterwards. Where the pass asks for
  // column_log_det and IsTriangular, the terms log p(x_i | x_<i) are added there instead.
  void LogProb(Pass& pass, Matrix x, Vector log_p) const;
  // After LogProb with a tape: adjoint for dL/dlog_p = log_p_bar. `z` is what LogProb left and
  // becomes dL/dx. Adds parameter and context gradients.
  void LogProbBackward(Pass& pass, Matrix z, ConstVector log_p_bar) const;

  // Training by samples. Row r of x becomes a sample that depends on (seed, first_row + r) only,
  // and log_q its log-density.
  void Sample(Pass& pass, std::uint64_t seed, std::uint64_t first_row, Matrix x,
              Vector log_q) const;
  // After Sample with a tape, of the samples x it left: adds the parameter and context gradients of
  // a loss that depends on x, with derivative x_bar, and on log_q, with derivative log_q_bar. Of
  // log q only what reaches it through x counts: its derivative at fixed x is left out, which has
  // mean 0 where log_q_bar is the same in all rows, and whose absence lets the gradient's variance
  // vanish where q is its target (Roeder, Wu, Duvenaud 2017, "Sticking the landing"). x_bar becomes
  // scratch. Not for bases that CheckSampleGradient refuses.
  void SampleBackward(Pass& pass, std::uint64_t seed, std::uint64_t first_row, ConstMatrix x,
                      Matrix x_bar, ConstVector log_q_bar) const;

  // True when z_i depends on x_1 .. x_i only, with these parameters (layout().size() floats): then
  // log p(x) splits into log p(x_i | x_<i).
  bool IsTriangular(std::span<const float> parameters) const;

 private:
  explicit Flow(FlowSpec spec) : spec_(std::move(spec)) {}

  FlowSpec spec_;
  ParameterLayout layout_;
  std::vector<std::unique_ptr<const Transform>> transforms_;
  std::optional<BaseDistribution> base_;  // present once created
};

}  // namespace millrace

#endif  // MILLRACE_CORE_FLOW_FLOW_H_
