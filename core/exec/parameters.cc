// SPDX-License-Identifier: Apache-2.0
#include "core/exec/parameters.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/matrix.h"

namespace millrace {

Slice ParameterLayout::Add(std::string name, int rows, int cols, bool decays) {
  MILLRACE_CHECK(rows >= 0 && cols >= 0);
  // A leading dimension that is a multiple of 1 KB would put every row into the same cache set.
  int ld = RoundUp(cols, kRowAlign);
  if (rows > 1 && ld % 256 == 0) ld += kRowAlign;
  const Slice slice{size_, rows, cols, ld};
  size_ += slice.extent();
  entries_.push_back({.name = std::move(name), .slice = slice, .decays = decays});
  return slice;
}

Slice ParameterLayout::AddStatistic(std::string name, int rows, int cols) {
  const Slice slice = Add(std::move(name), rows, cols, /*decays=*/false);
  entries_.back().statistic = true;
  return slice;
}

ParameterLayout::Normalised ParameterLayout::AddNormalised(std::string name, std::string gain_name,
                                                           int rows, int cols) {
  const std::size_t index = entries_.size();
  const Slice direction = Add(std::move(name), rows, cols, /*decays=*/false);
  const Slice gain = Add(std::move(gain_name), 1, rows, /*decays=*/true);
  entries_[index].gain = gain;
  return {direction, gain};
}

bool ParameterLayout::normalised() const {
  return std::ranges::any_of(entries_, [](const Entry& entry) { return entry.gain.has_value(); });
}

std::size_t ParameterLayout::count() const {
  std::size_t count = 0;
  for (const Entry& entry : entries_)
    count += static_cast<std::size_t>(entry.slice.rows) * entry.slice.cols;
  return count;
}

}  // namespace millrace
