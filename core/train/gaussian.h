// SPDX-License-Identifier: Apache-2.0
// The full-covariance Gaussian of some rows: what every model is measured against.
#ifndef MILLRACE_CORE_TRAIN_GAUSSIAN_H_
#define MILLRACE_CORE_TRAIN_GAUSSIAN_H_

#include <span>
#include <stop_token>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/rows.h"
#include "core/data/column_model.h"

namespace millrace {

// Over the active columns of a column model, in their raw values (bounds mean nothing to it), by
// maximum likelihood in double; a column that others determine keeps a share of its deviation
// (InverseCholesky). It is held to the columns' bins as the model is: fitted to values spread over
// their bins, scored at the mean density over the same fixed positions. Without that its density at
// the points of a lattice could exceed any that sums to one.
class Gaussian {
 public:
  // rows [n >= 1, columns.num_columns()]; `columns` outlives the Gaussian. CANCELLED when stopped.
  static absl::StatusOr<Gaussian> Fit(const ColumnModel& columns, RowsView<const double> rows,
                                      std::stop_token stop);

  // Nats in the user's units, [n].
  std::vector<double> LogProb(RowsView<const double> rows) const;

 private:
  explicit Gaussian(const ColumnModel& columns) : columns_(columns), mean_(columns.dim()) {}
  // Writes the active columns of a row at an offset, less the means, in units of their deviations.
  void Centre(std::span<const double> row, int offset, std::span<double> out) const;
  double LogDensity(std::span<const double> centred) const;

  const ColumnModel& columns_;
  std::vector<double> mean_;          // raw standardised units
  std::vector<double> inverse_root_;  // [dim, dim] lower triangular, of the covariance
  double log_scale_ = 0.0;            // log|det| of it, less dim * log(2 pi) / 2
};

// Variance that bins of `bin_width` add to a column of deviation `unit`, in its standardised units.
inline double BinVariance(double bin_width, double unit) {
  return bin_width / unit * (bin_width / unit) / 12.0;
}

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_GAUSSIAN_H_
