// SPDX-License-Identifier: Apache-2.0
// User data on the host: row-major, dense, element (r, c) at data[r * cols + c].
#ifndef MILLRACE_CORE_BASE_ROWS_H_
#define MILLRACE_CORE_BASE_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace millrace {

template <typename T>
struct RowsView {
  T* data = nullptr;
  std::int64_t rows = 0;
  int cols = 0;

  T& operator()(std::int64_t r, int c) const { return data[r * cols + c]; }
  std::span<T> row(std::int64_t r) const {
    return {data + r * cols, static_cast<std::size_t>(cols)};
  }
  RowsView Slice(std::int64_t begin, std::int64_t count) const {
    return {data + begin * cols, count, cols};
  }
  // NOLINTNEXTLINE(google-explicit-constructor): a view of a view
  operator RowsView<const T>() const { return {data, rows, cols}; }
};

template <typename T>
class Rows {
 public:
  Rows() = default;
  Rows(std::int64_t rows, int cols)
      : values_(static_cast<std::size_t>(rows) * cols), rows_(rows), cols_(cols) {}

  std::int64_t rows() const { return rows_; }
  int cols() const { return cols_; }
  T* data() { return values_.data(); }
  const T* data() const { return values_.data(); }
  T& operator()(std::int64_t r, int c) { return values_[r * cols_ + c]; }
  const T& operator()(std::int64_t r, int c) const { return values_[r * cols_ + c]; }
  RowsView<T> view() { return {values_.data(), rows_, cols_}; }
  RowsView<const T> view() const { return {values_.data(), rows_, cols_}; }

 private:
  std::vector<T> values_;
  std::int64_t rows_ = 0;
  int cols_ = 0;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_BASE_ROWS_H_
