// SPDX-License-Identifier: Apache-2.0
// Attributes of rows as directions in latent space: what they are, and moving rows along them.
#ifndef MILLRACE_CORE_SCORE_ATTRIBUTE_H_
#define MILLRACE_CORE_SCORE_ATTRIBUTE_H_

#include <cstdint>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/number_rows.h"
#include "core/base/rows.h"
#include "core/model.h"
#include "core/score/density.h"

namespace millrace {

// Rows as Density::Encode takes them, with their context.
struct LabelledRows {
  NumberRows rows;
  NumberRows context = {};
};

// Whether the model may have an attribute of this name. INVALID_ARGUMENT for a name that is none;
// RESOURCE_EXHAUSTED where it has AttributeVector::kMaxOfModel, all of other names.
absl::Status CheckMayAdd(absl::string_view name, const Model& model);

// INVALID_ARGUMENT (field "vector") unless it is one of the model's latent space: dim finite
// numbers.
absl::Status CheckLatentVector(std::span<const double> vector, const Model& model);

// The mean latent point of rows with the attribute less that of rows without. Errors as
// Density::Encode's, the fields being rows_with and rows_without, context_with and context_without.
// The same bits on any number of threads. CANCELLED when stopped.
absl::StatusOr<AttributeVector> ComputeAttribute(const Density& density, const std::string& name,
                                                 const LabelledRows& with,
                                                 const LabelledRows& without, std::stop_token stop);

// Adds the attribute to the model, in place of one of its name. As CheckMayAdd.
absl::Status AddAttribute(AttributeVector attribute, Model& model);

// NOT_FOUND naming the attribute and those that the model has.
absl::StatusOr<const AttributeVector*> FindAttribute(const Model& model, absl::string_view name);

// [rows * amounts, ...]: row r moved by amounts[a] stands at r * amounts + a.
struct MovedRows {
  Rows<double> rows;             // [.., columns] in the user's units
  std::vector<double> log_prob;  // nats, at those rows
  std::vector<std::uint8_t> out_of_support;
};

// Rows moved through latent space along a vector [dim]: Decode(Encode(row) + amount * vector), each
// under its row's condition. INVALID_ARGUMENT as Encode; for a vector of another size or that is
// not finite (field "vector"); for no amounts, or one that is not finite
// or whose result overflows single precision (field "amounts", its index as row).
absl::StatusOr<MovedRows> Manipulate(const Density& density, const NumberRows& rows,
                                     std::span<const double> vector,
                                     std::span<const double> amounts, std::stop_token stop,
                                     const NumberRows& context = {});

}  // namespace millrace

#endif  // MILLRACE_CORE_SCORE_ATTRIBUTE_H_
