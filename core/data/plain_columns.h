// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_DATA_PLAIN_COLUMNS_H_
#define MILLRACE_CORE_DATA_PLAIN_COLUMNS_H_

#include <span>
#include <vector>

#include "core/data/column.h"

namespace millrace {

// Those of a model's columns that are standardised and no more: continuous, without bounds and
// bins. Whole rows at once, and to the bit what core/data/column_transform.h does with one value.
class PlainColumns {
 public:
  PlainColumns() = default;
  explicit PlainColumns(std::span<const Column> columns);

  static bool IsPlain(const Column& column);

  // Standardises values of the columns from `begin` on. False unless all of them, also those that
  // are not plain, are finite and the plain ones within kFarthest. standardised[i] has a meaning
  // where this is so and the column is plain.
  bool ToModel(int begin, std::span<const double> values, float* standardised) const;
  // The way back; false unless all are within kFarthest.
  bool FromModel(int begin, std::span<const float> standardised, double* values) const;

 private:
  // One a column. Of a column that is not plain 0 and infinity: a finite value becomes 0, others
  // NaN.
  std::vector<double> centers_, scales_;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_DATA_PLAIN_COLUMNS_H_
