// SPDX-License-Identifier: Apache-2.0
// A transform the other way round: its Forward is the other's Inverse. An inverted masked
// autoregressive transform is that of the inverse autoregressive flow (IAF, Kingma et al. 2016):
// drawing a row is one pass, its density a sweep over the columns, and so is training by maximum
// likelihood.
#ifndef MILLRACE_CORE_TRANSFORMS_INVERTED_H_
#define MILLRACE_CORE_TRANSFORMS_INVERTED_H_

#include <memory>
#include <utility>

#include "core/transforms/transform.h"

namespace millrace {

class Inverted final : public Transform {
 public:
  explicit Inverted(std::unique_ptr<const Transform> transform)
      : transform_(std::move(transform)) {}

  void Forward(Pass& pass, Matrix x, Vector log_det) const override {
    transform_->Inverse(pass, x, log_det);
  }
  void Inverse(Pass& pass, Matrix z, Vector log_det) const override {
    transform_->Forward(pass, z, log_det);
  }
  void Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override {
    transform_->InverseBackward(pass, grad, log_det_bar);
  }
  void InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override {
    transform_->Backward(pass, grad, log_det_bar);
  }
  void Initialise(std::uint64_t seed, std::span<float> parameters) const override {
    transform_->Initialise(seed, parameters);
  }
  void Constrain(std::span<float> parameters) const override { transform_->Constrain(parameters); }
  double LipschitzBound(std::span<const float> parameters) const override {
    return transform_->LipschitzBound(parameters);
  }
  void ConstrainByBound(std::span<float> parameters) const override {
    transform_->ConstrainByBound(parameters);
  }
  int UsesOfParameters() const override { return transform_->UsesOfParameters(); }
  bool IsTriangular(std::span<const float> parameters) const override {
    return transform_->IsTriangular(parameters);
  }

 private:
  const std::unique_ptr<const Transform> transform_;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_TRANSFORMS_INVERTED_H_
