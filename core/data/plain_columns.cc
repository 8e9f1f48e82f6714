// SPDX-License-Identifier: Apache-2.0
#include "core/data/plain_columns.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "core/data/column_transform.h"

namespace millrace {

PlainColumns::PlainColumns(std::span<const Column> columns) {
  for (const Column& column : columns) {
    const bool plain = IsPlain(column);
    centers_.push_back(plain ? column.center : 0.0);
    scales_.push_back(plain ? column.scale : std::numeric_limits<double>::infinity());
  }
}

bool PlainColumns::IsPlain(const Column& column) {
  return column.type == ColumnType::kContinuous && !column.lower && !column.upper &&
         column.bin_width == 0.0;
}

bool PlainColumns::ToModel(int begin, std::span<const double> values, float* standardised) const {
  const double* const center = centers_.data() + begin;
  const double* const scale = scales_.data() + begin;
  int out_of_reach = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double u = (values[i] - center[i]) / scale[i];
    out_of_reach |= !(std::abs(u) <= kFarthest);
    standardised[i] = static_cast<float>(u);
  }
  return out_of_reach == 0;
}

bool PlainColumns::FromModel(int begin, std::span<const float> standardised, double* values) const {
  constexpr double kLargest = std::numeric_limits<double>::max();
  const double* const center = centers_.data() + begin;
  const double* const scale = scales_.data() + begin;
  int out_of_reach = 0;
  for (std::size_t i = 0; i < standardised.size(); ++i) {
    const auto u = static_cast<double>(standardised[i]);
    out_of_reach |= !(std::abs(u) <= kFarthest);
    values[i] = std::clamp(center[i] + u * scale[i], -kLargest, kLargest);
  }
  return out_of_reach == 0;
}

}  // namespace millrace
