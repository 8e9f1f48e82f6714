// SPDX-License-Identifier: Apache-2.0
#include "core/score/attribute.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/score/slices.h"

namespace millrace {
namespace {

NumberRows SliceOf(const NumberRows& context, std::int64_t first, std::int64_t count) {
  return context.rows <= 1 ? context : context.Slice(first, count);
}

// The same fault, of row `first` + its own and of "rows_with" for "rows".
absl::Status OfPart(const absl::Status& status, absl::string_view part, std::int64_t first) {
  ErrorDetail detail = DetailOf(status);
  if (detail.field.empty()) return status;
  absl::StrAppend(&detail.field, "_", part);
  if (detail.row) *detail.row += first;
  return MakeError(status.code(), detail);
}

absl::Status CheckPart(const Density& density, const LabelledRows& part) {
  MILLRACE_RETURN_IF_ERROR(density.model().columns.CheckShape(part.rows));
  return density.model().context.CheckShape(part.context, part.rows.rows);
}

absl::StatusOr<std::vector<double>> MeanLatent(const Density& density, const LabelledRows& part,
                                               absl::string_view name,
                                               const std::stop_token& stop) {
  const int dim = density.model().columns.dim();
  const auto total = static_cast<double>(part.rows.rows);
  std::vector<double> mean(static_cast<std::size_t>(dim));
  const absl::Status shape = CheckPart(density, part);
  if (!shape.ok()) return OfPart(shape, name, 0);
  MILLRACE_RETURN_IF_ERROR(
      InSlices(part.rows.rows, dim, [&](std::int64_t first, std::int64_t count) {
        const absl::StatusOr<Rows<double>> latent = density.Encode(
            part.rows.Slice(first, count), stop, SliceOf(part.context, first, count));
        if (!latent.ok()) return OfPart(latent.status(), name, first);
        for (std::int64_t r = 0; r < count; ++r)
          for (int c = 0; c < dim; ++c)
            mean[static_cast<std::size_t>(c)] += (*latent)(r, c) / total;
        return absl::OkStatus();
      }));
  return mean;
}

absl::Status NumberError(absl::string_view field, std::span<const double> values, std::size_t at,
                         absl::string_view expected) {
  return MakeError(absl::StatusCode::kInvalidArgument, {.field = std::string(field),
                                                        .row = static_cast<std::int64_t>(at),
                                                        .value = absl::StrCat(values[at]),
                                                        .expected = std::string(expected)});
}

absl::Status CheckFinite(absl::string_view field, std::span<const double> values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i])) return NumberError(field, values, i, "a finite number");
  return absl::OkStatus();
}

absl::Status CheckName(absl::string_view name) {
  if (!name.empty() && name.size() <= AttributeVector::kMaxNameBytes) return absl::OkStatus();
  return InvalidArgument("attribute", name,
                         absl::StrCat("a name of 1 to ", AttributeVector::kMaxNameBytes, " bytes"));
}

}  // namespace

absl::Status CheckMayAdd(absl::string_view name, const Model& model) {
  MILLRACE_RETURN_IF_ERROR(CheckName(name));
  const bool known = std::ranges::any_of(
      model.attributes, [&](const AttributeVector& attribute) { return attribute.name == name; });
  if (known || model.attributes.size() < AttributeVector::kMaxOfModel) return absl::OkStatus();
  return MakeError(absl::StatusCode::kResourceExhausted,
                   {.field = "attribute",
                    .value = std::string(name),
                    .expected = absl::StrCat("one of the ", AttributeVector::kMaxOfModel,
                                             " that the model has, which are as many as can be")});
}

absl::Status CheckLatentVector(std::span<const double> vector, const Model& model) {
  const int dim = model.columns.dim();
  if (std::ssize(vector) != dim)
    return InvalidArgument("vector", absl::StrCat(vector.size(), " numbers"),
                           absl::StrCat(dim, ", the latent dimensions of the model"));
  return CheckFinite("vector", vector);
}

absl::StatusOr<AttributeVector> ComputeAttribute(const Density& density, const std::string& name,
                                                 const LabelledRows& with,
                                                 const LabelledRows& without,
                                                 std::stop_token stop) {
  MILLRACE_RETURN_IF_ERROR(CheckName(name));
  AttributeVector attribute{
      .name = name, .rows_with = with.rows.rows, .rows_without = without.rows.rows};
  MILLRACE_ASSIGN_OR_RETURN(attribute.vector, MeanLatent(density, with, "with", stop));
  MILLRACE_ASSIGN_OR_RETURN(const std::vector<double> mean,
                            MeanLatent(density, without, "without", stop));
  for (std::size_t i = 0; i < mean.size(); ++i) attribute.vector[i] -= mean[i];
  return attribute;
}

absl::Status AddAttribute(AttributeVector attribute, Model& model) {
  MILLRACE_RETURN_IF_ERROR(CheckMayAdd(attribute.name, model));
  for (AttributeVector& known : model.attributes) {
    if (known.name != attribute.name) continue;
    known = std::move(attribute);
    return absl::OkStatus();
  }
  model.attributes.push_back(std::move(attribute));
  return absl::OkStatus();
}

absl::StatusOr<const AttributeVector*> FindAttribute(const Model& model, absl::string_view name) {
  std::vector<std::string> names;
  for (const AttributeVector& attribute : model.attributes) {
    if (attribute.name == name) return &attribute;
    names.push_back(absl::StrCat("'", PrintableValue(attribute.name), "'"));
  }
  return MakeError(
      absl::StatusCode::kNotFound,
      {.field = "attribute",
       .value = std::string(name),
       .expected = names.empty() ? "nothing: the model has no attributes"
                                 : absl::StrCat("one of ", absl::StrJoin(names, ", "))});
}

absl::StatusOr<MovedRows> Manipulate(const Density& density, const NumberRows& rows,
                                     std::span<const double> vector,
                                     std::span<const double> amounts, std::stop_token stop,
                                     const NumberRows& context) {
  MILLRACE_RETURN_IF_ERROR(CheckLatentVector(vector, density.model()));
  if (amounts.empty()) return InvalidArgument("amounts", "none", "at least 1");
  MILLRACE_RETURN_IF_ERROR(CheckFinite("amounts", amounts));
  MILLRACE_ASSIGN_OR_RETURN(const Rows<double> latent, density.Encode(rows, stop, context));
  const auto times = static_cast<std::int64_t>(amounts.size());
  Rows<double> points(latent.rows() * times, latent.cols());
  Rows<double> contexts(context.rows > 1 ? points.rows() : context.rows, context.cols);
  for (std::int64_t r = 0; r < contexts.rows(); ++r)
    context.Read(context.rows > 1 ? r / times : 0, 0, contexts.view().row(r));
  for (std::int64_t r = 0; r < points.rows(); ++r)
    for (int c = 0; c < points.cols(); ++c)
      points(r, c) = latent(r / times, c) + amounts[r % times] * vector[c];
  MovedRows moved;
  absl::StatusOr<Rows<double>> decoded = density.Decode(points.view(), stop, contexts.view());
  if (const ErrorDetail detail = DetailOf(decoded.status());
      detail.field == "latents" && detail.row)
    return NumberError("amounts", amounts, static_cast<std::size_t>(*detail.row % times),
                       absl::StrCat("one nearer to 0: row ", *detail.row / times, " overflows"));
  MILLRACE_ASSIGN_OR_RETURN(moved.rows, std::move(decoded));
  MILLRACE_ASSIGN_OR_RETURN(LogProbResult scored,
                            density.LogProb(moved.rows.view(), std::move(stop), contexts.view()));
  moved.log_prob = std::move(scored.log_prob);
  moved.out_of_support = std::move(scored.out_of_support);
  return moved;
}

}  // namespace millrace
