// SPDX-License-Identifier: Apache-2.0
#include "core/exec/vector_bijection.h"

#include "core/exec/vector_formulas.h"
#include "core/math/uniform.h"

namespace millrace {

int VectorBijection::parameters(int dim) const {
  return WithFormula(*this, dim, [](const auto& formula) { return formula.parameters(); });
}

void VectorBijection::Initialise(int dim, std::uint64_t seed, std::span<float> theta) const {
  WithFormula(*this, dim, [&](const auto& formula) {
    formula.Initialise(
        [&](int i) { return 2.0 * UniformAt(seed, 1, static_cast<std::uint64_t>(i), 0) - 1.0; },
        theta.data());
  });
}

}  // namespace millrace
