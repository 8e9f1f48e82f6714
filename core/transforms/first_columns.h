// SPDX-License-Identifier: Apache-2.0
// A transform of the first columns, which leaves the others as they are: the levels of a multiscale
// flow (Dinh et al. 2017, section 3.6) leave columns behind.
#ifndef MILLRACE_CORE_TRANSFORMS_FIRST_COLUMNS_H_
#define MILLRACE_CORE_TRANSFORMS_FIRST_COLUMNS_H_

#include <cstddef>
#include <memory>
#include <utility>

#include "core/transforms/transform.h"

namespace millrace {

class FirstColumns final : public Transform {
 public:
  FirstColumns(int count, std::unique_ptr<const Transform> transform)
      : count_(count), transform_(std::move(transform)) {}

  void Forward(Pass& pass, Matrix x, Vector log_det) const override {
    Pass first = OfFirst(pass);
    transform_->Forward(first, x.Columns(0, count_), log_det);
  }
  void Inverse(Pass& pass, Matrix z, Vector log_det) const override {
    Pass first = OfFirst(pass);
    transform_->Inverse(first, z.Columns(0, count_), log_det);
  }
  void Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override {
    transform_->Backward(pass, grad.Columns(0, count_), log_det_bar);
  }
  void InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override {
    transform_->InverseBackward(pass, grad.Columns(0, count_), log_det_bar);
  }
  void Initialise(std::uint64_t seed, std::span<float> parameters) const override {
    transform_->Initialise(seed, parameters);
  }
  bool WantsMoments() const override { return transform_->WantsMoments(); }
  bool WantsCovariance() const override { return transform_->WantsCovariance(); }
  void InitialiseFromMoments(const Moments& moments, std::span<float> parameters) const override {
    const std::size_t dim = moments.mean.size(), count = static_cast<std::size_t>(count_);
    Moments first{{moments.mean.begin(), moments.mean.begin() + count_}, {}};
    for (std::size_t i = 0; i < count; ++i) {
      const double* const row = moments.covariance.data() + i * dim;
      first.covariance.insert(first.covariance.end(), row, row + count);
    }
    transform_->InitialiseFromMoments(first, parameters);
  }
  void Constrain(std::span<float> parameters) const override { transform_->Constrain(parameters); }
  int UsesOfParameters() const override { return transform_->UsesOfParameters(); }
  bool IsTriangular(std::span<const float> parameters) const override {
    return transform_->IsTriangular(parameters);
  }

 private:
  Pass OfFirst(const Pass& pass) const {
    Pass first = pass;
    if (!pass.column_log_det.empty()) first.column_log_det.count = count_;
    return first;
  }

  const int count_;
  const std::unique_ptr<const Transform> transform_;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_TRANSFORMS_FIRST_COLUMNS_H_
