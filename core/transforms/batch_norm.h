// SPDX-License-Identifier: Apache-2.0
// Batch-norm as a layer of a flow (Dinh et al. 2017, sec. 3.7; Papamakarios et al. 2017, sec. 3.1):
//
//   z = (x - m) / sqrt(v + 1e-5) * exp(s) + t
//
// m and v are running statistics in every pass, of training too, so that a training loss is that of
// the model which LogProb serves, both directions exist at any time, and rows do not influence each
// other. They are constants to the gradient; steps of training move them towards the mean and
// variance of the batch (ParameterLayout::Entry::statistic). Only Backward says where to: where the
// layer runs from latent to data, they stay.
#ifndef MILLRACE_CORE_TRANSFORMS_BATCH_NORM_H_
#define MILLRACE_CORE_TRANSFORMS_BATCH_NORM_H_

#include <string>

#include "core/transforms/elementwise.h"

namespace millrace {

// Elementwise is s and t.
class BatchNorm final : public Elementwise {
 public:
  // `uses`: how often it is applied to a row, once for each pixel of an image.
  BatchNorm(int dim, const std::string& prefix, ParameterLayout& layout, int uses = 1);

  void Forward(Pass& pass, Matrix x, Vector log_det) const override;
  void Inverse(Pass& pass, Matrix z, Vector log_det) const override;
  void Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  // The identity but for the 1e-5.
  void Initialise(std::uint64_t seed, std::span<float> parameters) const override;
  // The statistics of the training rows.
  bool WantsMoments() const override { return true; }
  bool WantsCovariance() const override { return false; }
  void InitialiseFromMoments(const Moments& moments, std::span<float> parameters) const override;

 private:
  Matrix BroadcastStatistics(Pass& pass, int rows) const;

  const double share_;
  const Slice statistics_;  // [1, 2 dim]: m_0, v_0, m_1, v_1, ...
};

}  // namespace millrace

#endif  // MILLRACE_CORE_TRANSFORMS_BATCH_NORM_H_
