// SPDX-License-Identifier: Apache-2.0
// A view of rows of numbers where they stand, whatever their type.
#ifndef MILLRACE_CORE_BASE_NUMBER_ROWS_H_
#define MILLRACE_CORE_BASE_NUMBER_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "core/base/rows.h"

namespace millrace {

// Floats or doubles of this machine, row after row, at any address.
struct NumberRows {
  enum class Type { kFloat32, kFloat64 };

  const std::byte* data = nullptr;
  Type type = Type::kFloat64;
  std::int64_t rows = 0;
  int cols = 0;
  // Column c of the view stands at order[c] of a row; empty: columns are in order. [cols]; outlives
  // the view, as the data does.
  std::span<const int> order = {};

  NumberRows() = default;
  NumberRows(const void* numbers, Type number_type, std::int64_t num_rows, int num_cols)
      : data(static_cast<const std::byte*>(numbers)),
        type(number_type),
        rows(num_rows),
        cols(num_cols) {}
  NumberRows(const float* numbers, std::int64_t num_rows, int num_cols)
      : NumberRows(numbers, Type::kFloat32, num_rows, num_cols) {}
  NumberRows(const double* numbers, std::int64_t num_rows, int num_cols)
      : NumberRows(numbers, Type::kFloat64, num_rows, num_cols) {}
  template <typename T>
  NumberRows(RowsView<T> view)  // NOLINT(google-explicit-constructor): a view of a view
      : NumberRows(view.data, view.rows, view.cols) {}

  std::size_t number_size() const {
    return type == Type::kFloat32 ? sizeof(float) : sizeof(double);
  }
  int PlaceOf(int c) const { return order.empty() ? c : order[static_cast<std::size_t>(c)]; }

  double operator()(std::int64_t r, int c) const {
    const std::byte* const place = RowAt(r) + static_cast<std::size_t>(PlaceOf(c)) * number_size();
    return type == Type::kFloat32 ? NumberAt<float>(place) : NumberAt<double>(place);
  }

  // Columns [begin, begin + values.size()) of row r.
  void Read(std::int64_t r, int begin, std::span<double> values) const {
    if (type == Type::kFloat32) {
      ReadAs<float>(RowAt(r), begin, values);
    } else {
      ReadAs<double>(RowAt(r), begin, values);
    }
  }

  NumberRows Slice(std::int64_t begin, std::int64_t count) const {
    NumberRows slice = *this;
    slice.data = RowAt(begin);
    slice.rows = count;
    return slice;
  }

 private:
  const std::byte* RowAt(std::int64_t r) const {
    return data + static_cast<std::size_t>(r) * static_cast<std::size_t>(cols) * number_size();
  }

  template <typename T>
  static T NumberAt(const std::byte* place) {
    T number;
    std::memcpy(&number, place, sizeof(T));
    return number;
  }

  template <typename T>
  void ReadAs(const std::byte* row, int begin, std::span<double> values) const {
    if (order.empty()) {
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = NumberAt<T>(row + (static_cast<std::size_t>(begin) + i) * sizeof(T));
    } else {
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = NumberAt<T>(
            row + static_cast<std::size_t>(order[static_cast<std::size_t>(begin) + i]) * sizeof(T));
    }
  }
};

}  // namespace millrace

#endif  // MILLRACE_CORE_BASE_NUMBER_ROWS_H_
