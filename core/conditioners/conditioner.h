// SPDX-License-Identifier: Apache-2.0
// Computes the parameters of a transform's bijections from the columns that the transform keeps.
#ifndef MILLRACE_CORE_CONDITIONERS_CONDITIONER_H_
#define MILLRACE_CORE_CONDITIONERS_CONDITIONER_H_

#include <cstdint>
#include <span>

#include "core/exec/pass.h"

namespace millrace {

// Immutable, thread-safe.
class Conditioner {
 public:
  virtual ~Conditioner() = default;

  virtual int inputs() const = 0;
  virtual int outputs() const = 0;

  // theta [rows, outputs] of x [rows, inputs]. With a tape, what Backward needs is pushed.
  virtual void Forward(Pass& pass, const ConstMatrix& x, const Matrix& theta) const = 0;
  // After Forward with a tape, of the same x: adds to x_bar and, `sign` times, to the parameter and
  // context gradients.
  virtual void Backward(Pass& pass, const ConstMatrix& x, const ConstMatrix& theta_bar, float sign,
                        const Matrix& x_bar) const = 0;

  // Writes the initial parameters, at which theta is zero; the same seed gives the same values.
  virtual void Initialise(std::uint64_t seed, std::span<float> parameters) const = 0;

  // How often each parameter is used for one row, about.
  virtual int UsesOfParameters() const { return 1; }
};

}  // namespace millrace

#endif  // MILLRACE_CORE_CONDITIONERS_CONDITIONER_H_
