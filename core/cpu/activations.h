// SPDX-License-Identifier: Apache-2.0
// From the name of an activation to its formulas.
#ifndef MILLRACE_CORE_CPU_ACTIVATIONS_H_
#define MILLRACE_CORE_CPU_ACTIVATIONS_H_

#include "core/exec/kernels.h"
#include "core/math/activation.h"

namespace millrace::cpu {

// Calls `run` with the activation's type.
template <typename Run>
void WithActivation(Activation activation, const Run& run) {
  switch (activation) {
    case Activation::kIdentity:
      return run(Identity{});
    case Activation::kRelu:
      return run(Relu{});
    case Activation::kTanh:
      return run(HyperbolicTangent{});
    case Activation::kElu:
      return run(Elu{});
  }
}

}  // namespace millrace::cpu

#endif  // MILLRACE_CORE_CPU_ACTIVATIONS_H_
