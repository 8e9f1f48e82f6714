// SPDX-License-Identifier: Apache-2.0
// millrace.v1.Matrix to rows and back. Nothing is allocated for numbers that are not there.
#ifndef MILLRACE_SERVER_RPC_MATRIX_H_
#define MILLRACE_SERVER_RPC_MATRIX_H_

#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/base/number_rows.h"
#include "core/base/rows.h"
#include "google/protobuf/repeated_field.h"
#include "millrace/v1/matrix.pb.h"
#include "server/app/config.h"

namespace millrace {

// Checks the shape without looking at the numbers. INVALID_ARGUMENT: no rows, no columns, no data,
// or a number of elements other than rows * cols. RESOURCE_EXHAUSTED: more than `max_rows` (set by
// the flag `rows_flag`) or limits.max_columns. `field` is the matrix's path in the request.
absl::Status CheckMatrix(const v1::Matrix& matrix, absl::string_view field, std::int64_t max_rows,
                         absl::string_view rows_flag, const Limits& limits);

// The numbers of a matrix that passed CheckMatrix where they stand in the message, which outlives
// the view.
NumberRows ViewOf(const v1::Matrix& matrix);

// The numbers of a matrix that passed CheckMatrix, row-major, into `out` [rows * cols].
// INVALID_ARGUMENT with field, row (counted from `first_row`), column and value for a number that
// is not finite.
absl::Status ReadMatrix(const v1::Matrix& matrix, absl::string_view field, std::int64_t first_row,
                        std::span<double> out);

// Makes `matrix` one of this shape, whose numbers the caller writes where they stand in the
// message.
RowsView<double> NewMatrix(std::int64_t rows, int cols, v1::Matrix* matrix);
void WriteMatrix(RowsView<const double> rows, v1::Matrix* matrix);

// The same of a field with one number, or one flag, 0 or 1, for each row.
std::span<double> NewValues(std::int64_t rows, google::protobuf::RepeatedField<double>* field);
std::span<std::uint8_t> NewFlags(std::int64_t rows, google::protobuf::RepeatedField<bool>* field);

// RESOURCE_EXHAUSTED when a reply of so many numbers would not fit limits.max_message_bytes.
// `field` is what to make smaller.
absl::Status CheckReplySize(std::int64_t rows, std::int64_t cols, absl::string_view field,
                            const Limits& limits);

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_MATRIX_H_
