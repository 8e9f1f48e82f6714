// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/matrix.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"

namespace millrace {
namespace {

static_assert(std::endian::native == std::endian::little, "raw bytes are read as they are");

absl::Status TooMany(absl::string_view field, std::int64_t value, absl::string_view what,
                     std::int64_t limit, absl::string_view flag) {
  return MakeError(absl::StatusCode::kResourceExhausted,
                   {.field = std::string(field),
                    .value = absl::StrCat(value),
                    .expected = absl::StrCat("at most ", limit, " ", what, " (--", flag, ")")});
}

// Where the numbers are and how many bytes they take.
struct Payload {
  absl::string_view name;        // of the oneof's member
  std::uint64_t units = 0;       // numbers, or bytes where raw
  std::uint64_t unit_count = 1;  // units an element takes
};

Payload PayloadOf(const v1::Matrix& matrix) {
  const auto size = [](const auto& values) { return static_cast<std::uint64_t>(values.size()); };
  switch (matrix.data_case()) {
    case v1::Matrix::kFloats:
      return {"floats", size(matrix.floats().values()), 1};
    case v1::Matrix::kDoubles:
      return {"doubles", size(matrix.doubles().values()), 1};
    case v1::Matrix::kRawF32Le:
      return {"raw_f32_le", size(matrix.raw_f32_le()), sizeof(float)};
    case v1::Matrix::kRawF64Le:
      return {"raw_f64_le", size(matrix.raw_f64_le()), sizeof(double)};
    case v1::Matrix::DATA_NOT_SET:
      break;
  }
  return {};
}

}  // namespace

absl::Status CheckMatrix(const v1::Matrix& matrix, absl::string_view field, std::int64_t max_rows,
                         absl::string_view rows_flag, const Limits& limits) {
  const std::int64_t rows = matrix.rows();
  const std::int64_t cols = matrix.cols();
  if (rows == 0) return InvalidArgument(absl::StrCat(field, ".rows"), "0", "at least 1 row");
  if (cols == 0) return InvalidArgument(absl::StrCat(field, ".cols"), "0", "at least 1 column");
  if (rows > max_rows)
    return TooMany(absl::StrCat(field, ".rows"), rows, "rows", max_rows, rows_flag);
  if (cols > limits.max_columns) {
    return TooMany(absl::StrCat(field, ".cols"), cols, "columns", limits.max_columns,
                   "max_columns");
  }
  const Payload payload = PayloadOf(matrix);
  if (payload.name.empty()) {
    return InvalidArgument(absl::StrCat(field, ".data"), "nothing", "one of its encodings");
  }
  // At most 2^32 * 2^12 * 2^3 by the limits above: no overflow.
  const auto expected =
      static_cast<std::uint64_t>(rows) * static_cast<std::uint64_t>(cols) * payload.unit_count;
  if (payload.units != expected) {
    return InvalidArgument(absl::StrCat(field, ".", payload.name), absl::StrCat(payload.units),
                           absl::StrCat(expected, payload.unit_count == 1 ? " numbers" : " bytes",
                                        " for ", rows, " rows of ", cols, " columns"));
  }
  return absl::OkStatus();
}

NumberRows ViewOf(const v1::Matrix& matrix) {
  const std::int64_t rows = matrix.rows();
  const auto cols = static_cast<int>(matrix.cols());
  switch (matrix.data_case()) {
    case v1::Matrix::kFloats:
      return {matrix.floats().values().data(), rows, cols};
    case v1::Matrix::kDoubles:
      return {matrix.doubles().values().data(), rows, cols};
    case v1::Matrix::kRawF32Le:
      return {matrix.raw_f32_le().data(), NumberRows::Type::kFloat32, rows, cols};
    case v1::Matrix::kRawF64Le:
      return {matrix.raw_f64_le().data(), NumberRows::Type::kFloat64, rows, cols};
    case v1::Matrix::DATA_NOT_SET:
      break;
  }
  return {};
}

absl::Status ReadMatrix(const v1::Matrix& matrix, absl::string_view field, std::int64_t first_row,
                        std::span<double> out) {
  const NumberRows rows = ViewOf(matrix);
  for (std::int64_t r = 0; r < rows.rows; ++r)
    rows.Read(r, 0, out.subspan(static_cast<std::size_t>(r * rows.cols), matrix.cols()));
  const auto bad = std::find_if(out.begin(), out.end(), [](double v) { return !std::isfinite(v); });
  if (bad == out.end()) return absl::OkStatus();
  const std::int64_t index = bad - out.begin();
  return MakeError(absl::StatusCode::kInvalidArgument, {.field = std::string(field),
                                                        .row = first_row + index / matrix.cols(),
                                                        .column = index % matrix.cols(),
                                                        .value = absl::StrCat(*bad),
                                                        .expected = "a finite number"});
}

RowsView<double> NewMatrix(std::int64_t rows, int cols, v1::Matrix* matrix) {
  matrix->set_rows(static_cast<std::uint32_t>(rows));
  matrix->set_cols(static_cast<std::uint32_t>(cols));
  std::string& bytes = *matrix->mutable_raw_f64_le();
  bytes.resize(static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols) * sizeof(double));
  // Where a string holds its bytes is aligned for any number.
  return {reinterpret_cast<double*>(bytes.data()), rows, cols};
}

void WriteMatrix(RowsView<const double> rows, v1::Matrix* matrix) {
  const RowsView<double> out = NewMatrix(rows.rows, rows.cols, matrix);
  std::copy_n(rows.data, rows.rows * rows.cols, out.data);
}

std::span<double> NewValues(std::int64_t rows, google::protobuf::RepeatedField<double>* field) {
  field->Resize(static_cast<int>(rows), 0.0);
  return {field->mutable_data(), static_cast<std::size_t>(rows)};
}

std::span<std::uint8_t> NewFlags(std::int64_t rows, google::protobuf::RepeatedField<bool>* field) {
  static_assert(sizeof(bool) == sizeof(std::uint8_t));
  field->Resize(static_cast<int>(rows), false);
  return {reinterpret_cast<std::uint8_t*>(field->mutable_data()), static_cast<std::size_t>(rows)};
}

absl::Status CheckReplySize(std::int64_t rows, std::int64_t cols, absl::string_view field,
                            const Limits& limits) {
  constexpr std::int64_t kOverhead = 1024;  // names, shape and the other fields of a row
  const std::int64_t row_bytes = 8 * cols + 32;
  const std::int64_t limit =
      std::max<std::int64_t>((limits.max_message_bytes - kOverhead) / row_bytes, 0);
  if (rows <= limit) return absl::OkStatus();
  return TooMany(field, rows, "rows, for the reply to fit a message", limit, "max_message_bytes");
}

}  // namespace millrace
