// SPDX-License-Identifier: Apache-2.0
// The built-in densities of core/math/energies.h, as targets of a fit.
#ifndef MILLRACE_CORE_TRAIN_ENERGIES_H_
#define MILLRACE_CORE_TRAIN_ENERGIES_H_

#include <memory>
#include <span>
#include <vector>

#include "core/train/fit_density.h"

namespace millrace {

enum class Energy { kU1, kU2, kU3, kU4, kBanana, kMixture };

// In the order of the enum.
std::span<const Energy> AllEnergies();

// "u1", "u2", "u3", "u4", "banana", "mixture".
const char* NameOf(Energy energy);

// Columns x0 and x1 about where the density is.
std::vector<DensityColumn> ColumnsOf(Energy energy);

// Of two columns.
std::unique_ptr<TargetDensity> CreateTarget(Energy energy);

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_ENERGIES_H_
