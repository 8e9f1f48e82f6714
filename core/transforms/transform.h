// SPDX-License-Identifier: Apache-2.0
// A bijection of rows, one layer of a flow.
#ifndef MILLRACE_CORE_TRANSFORMS_TRANSFORM_H_
#define MILLRACE_CORE_TRANSFORMS_TRANSFORM_H_

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/matrix.h"
#include "core/exec/parameters.h"
#include "core/exec/pass.h"

namespace millrace {

// Means and covariance over rows of what reaches a transform, in double.
struct Moments {
  std::vector<double> mean;        // [dim]
  std::vector<double> covariance;  // [dim, dim] row-major
};

// Stateless and thread-safe; parameters come in through `Pass`. Forward is data -> latent, Inverse
// is latent -> data. All four work in place on `x` [rows, dim] and ADD to log_det the log of the
// absolute determinant of their own Jacobian.
//
// The laws every transform obeys (tests/core/transforms/laws_test.cc): Inverse(Forward(x)) = x;
// their log-dets cancel; log_det = log|det dz/dx|; Backward is the adjoint of Forward,
// InverseBackward that of Inverse; the result of a row does not depend on the rows beside it.
class Transform {
 public:
  virtual ~Transform() = default;

  virtual void Forward(Pass& pass, Matrix x, Vector log_det) const = 0;
  virtual void Inverse(Pass& pass, Matrix z, Vector log_det) const = 0;

  // After Forward with a tape: grad holds dL/dz and becomes dL/dx, where the loss also depends on
  // log_det with derivative log_det_bar; parameter and context gradients are added.
  virtual void Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const = 0;
  // After Inverse with a tape: grad holds dL/dx and becomes dL/dz.
  virtual void InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const = 0;

  // Writes the initial parameters; the same seed gives the same values.
  virtual void Initialise(std::uint64_t seed, std::span<float> parameters) const = 0;

  // Data-dependent initialisation: transforms that want it are given the moments of their inputs
  // once, before training, in chain order. The result is ordinary parameters, saved with the
  // others.
  virtual bool WantsMoments() const { return false; }
  // Whether it looks at more of the covariance than the variances; what it does not look at is 0.
  virtual bool WantsCovariance() const { return true; }
  virtual void InitialiseFromMoments(const Moments& moments, std::span<float> parameters) const;

  // Changes parameters that a step of training has carried outside the set where the transform is
  // invertible; called after every step.
  virtual void Constrain(std::span<float> parameters) const;
  // Of a transform that is invertible while a part of it contracts: no less than that part's
  // Lipschitz constant, which must be below 1. 0 for others.
  virtual double LipschitzBound(std::span<const float> parameters) const;

  // Changes parameters, where it must, so that LipschitzBound is below 1: Constrain may leave it at
  // the edge. Called once, after training.
  virtual void ConstrainByBound(std::span<float> parameters) const;

  // How often each parameter is used for one row, about, the dearer way.
  virtual int UsesOfParameters() const { return 1; }

  // True when z_i depends on x_1 .. x_i only, with these parameters (of the whole flow). Forward
  // then serves passes that ask for each column's log-det.
  virtual bool IsTriangular(std::span<const float> parameters) const = 0;
};

inline void Transform::InitialiseFromMoments(const Moments&, std::span<float>) const {}
inline void Transform::Constrain(std::span<float>) const {}
inline void Transform::ConstrainByBound(std::span<float>) const {}
inline double Transform::LipschitzBound(std::span<const float>) const { return 0.0; }

}  // namespace millrace

#endif  // MILLRACE_CORE_TRANSFORMS_TRANSFORM_H_
