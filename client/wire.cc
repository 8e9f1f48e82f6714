// SPDX-License-Identifier: Apache-2.0
#include "client/wire.h"

#include <bit>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/strings/str_cat.h"

namespace millrace::client {
namespace {

static_assert(std::endian::native == std::endian::little, "raw matrices are copied as they are");

// The numbers of `bytes`, or none where their size is not `count` numbers.
template <typename T>
bool CopyRaw(const std::string& bytes, std::size_t count, std::vector<double>& out) {
  if (bytes.size() % sizeof(T) != 0 || bytes.size() / sizeof(T) != count) return false;
  out.resize(count);
  if constexpr (std::is_same_v<T, double>) {
    std::memcpy(out.data(), bytes.data(), bytes.size());
  } else {
    for (std::size_t i = 0; i < count; ++i) {
      T value;
      std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
      out[i] = value;
    }
  }
  return true;
}

template <typename Array>
bool CopyPacked(const Array& array, std::size_t count, std::vector<double>& out) {
  if (static_cast<std::size_t>(array.values_size()) != count) return false;
  out.assign(array.values().begin(), array.values().end());
  return true;
}

bool CopyValues(const v1::Matrix& matrix, std::size_t count, std::vector<double>& out) {
  switch (matrix.data_case()) {
    case v1::Matrix::kFloats:
      return CopyPacked(matrix.floats(), count, out);
    case v1::Matrix::kDoubles:
      return CopyPacked(matrix.doubles(), count, out);
    case v1::Matrix::kRawF32Le:
      return CopyRaw<float>(matrix.raw_f32_le(), count, out);
    case v1::Matrix::kRawF64Le:
      return CopyRaw<double>(matrix.raw_f64_le(), count, out);
    case v1::Matrix::DATA_NOT_SET:
      break;
  }
  return false;
}

}  // namespace

absl::Status CheckTable(const Table& table) {
  if (table.rows < 1 || table.cols < 1) {
    return absl::InvalidArgumentError(absl::StrCat("table is ", table.rows, " x ", table.cols,
                                                   ": at least one row and column are needed"));
  }
  const auto size = static_cast<std::int64_t>(table.values.size());
  if (size % table.cols != 0 || size / table.cols != table.rows) {
    return absl::InvalidArgumentError(absl::StrCat("table.values has ", size, " numbers, ",
                                                   table.rows, " x ", table.cols, " are needed"));
  }
  if (!table.column_names.empty() && std::ssize(table.column_names) != table.cols) {
    return absl::InvalidArgumentError(absl::StrCat("table.column_names has ",
                                                   table.column_names.size(), " names for ",
                                                   table.cols, " columns"));
  }
  return absl::OkStatus();
}

v1::Matrix ToMatrix(const Table& table, std::int64_t begin, std::int64_t count) {
  v1::Matrix matrix;
  matrix.set_rows(static_cast<std::uint32_t>(count));
  matrix.set_cols(static_cast<std::uint32_t>(table.cols));
  matrix.set_raw_f64_le(table.values.data() + begin * table.cols,
                        static_cast<std::size_t>(count) * table.cols * sizeof(double));
  return matrix;
}

absl::StatusOr<Table> FromMatrix(const v1::Matrix& matrix) {
  Table table;
  table.rows = matrix.rows();
  // Checked before any memory is asked for: both factors have 32 bits, so the product does not
  // overflow.
  const std::uint64_t count = std::uint64_t{matrix.rows()} * matrix.cols();
  if (matrix.cols() > std::numeric_limits<int>::max() / 2 ||
      !CopyValues(matrix, count, table.values)) {
    return absl::InternalError(absl::StrCat("the server sent a malformed ", matrix.rows(), " x ",
                                            matrix.cols(), " matrix"));
  }
  table.cols = static_cast<int>(matrix.cols());
  return table;
}

}  // namespace millrace::client
