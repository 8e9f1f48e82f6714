// SPDX-License-Identifier: Apache-2.0
// Covariances of few rows, shrunk towards independence (Friedman 1989, regularised discriminant
// analysis): (1 - shrinkage) C + shrinkage diag(C).
#ifndef MILLRACE_CORE_TRAIN_SHRINKAGE_H_
#define MILLRACE_CORE_TRAIN_SHRINKAGE_H_

#include <span>
#include <stop_token>

#include "absl/status/statusor.h"
#include "core/base/rows.h"

namespace millrace {

// covariance [dim, dim], in place.
void Shrink(double shrinkage, int dim, std::span<double> covariance);

// The shrinkage in [0, 1] under which the Gaussians of the rows outside each of five folds (one
// above 128 columns) have the highest mean density inside. 0 for one column, for fewer than three
// rows, from 100 rows a column on, and where rows * dim^2 is above 4e10, which would take longer
// than it is worth. rows [n >= 1, dim], standardised, in random order. CANCELLED soon after `stop`.
absl::StatusOr<double> ChooseShrinkage(RowsView<const float> rows, std::stop_token stop);

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_SHRINKAGE_H_
