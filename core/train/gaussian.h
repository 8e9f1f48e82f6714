// SPDX-License-Identifier: Apache-2.0
// The full-covariance Gaussian of some rows: what every model is measured against.
#ifndef MILLRACE_CORE_TRAIN_GAUSSIAN_H_
#define MILLRACE_CORE_TRAIN_GAUSSIAN_H_

#include <span>
#include <vector>

#include "core/base/rows.h"

namespace millrace {

// In double, maximum likelihood; a column that others determine keeps a thousandth of its deviation
// (InverseCholesky).
class Gaussian {
 public:
  // rows [n >= 1, dim].
  explicit Gaussian(RowsView<const double> rows);

  double LogProb(std::span<const double> row) const;

 private:
  std::vector<double> mean_;
  std::vector<double> inverse_root_;  // [dim, dim] lower triangular, of the covariance
  double log_scale_ = 0.0;            // log|det| of it, less dim * log(2 pi) / 2
};

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_GAUSSIAN_H_
