// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/fit_density_spec.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/train/distill.h"
#include "core/train/reverse_kl.h"
#include "server/rpc/enum_table.h"
#include "server/rpc/flow_message.h"
#include "server/rpc/matrix.h"
#include "server/rpc/train_spec.h"

namespace millrace {
namespace {

constexpr EnumPair<Energy, v1::BuiltInDensity> kEnergies[] = {
    {Energy::kU1, v1::BUILT_IN_DENSITY_U1},
    {Energy::kU2, v1::BUILT_IN_DENSITY_U2},
    {Energy::kU3, v1::BUILT_IN_DENSITY_U3},
    {Energy::kU4, v1::BUILT_IN_DENSITY_U4},
    {Energy::kBanana, v1::BUILT_IN_DENSITY_BANANA},
    {Energy::kMixture, v1::BUILT_IN_DENSITY_MIXTURE}};

absl::StatusOr<FitDensityOptions> ReadOptions(const v1::FitDensityOptions& from) {
  FitDensityOptions to;
  // Fields without presence: 0 stands for "chosen by the server".
  if (from.batch_size() != 0) to.batch_size = ToInt(from.batch_size());
  if (from.steps() != 0) to.steps = ToInt(from.steps());
  if (from.samples() != 0) to.samples = ToInt(from.samples());
  if (from.learning_rate() != 0.0) to.learning_rate = from.learning_rate();
  if (from.false_positive_rate() != 0.0) to.false_positive_rate = from.false_positive_rate();
  if (from.has_warmup_steps()) to.warmup_steps = ToInt(from.warmup_steps());
  if (from.has_annealing_steps()) to.annealing_steps = ToInt(from.annealing_steps());
  if (from.has_ema_decay()) to.ema_decay = from.ema_decay();
  if (from.has_gradient_clip_norm()) to.gradient_clip_norm = from.gradient_clip_norm();
  if (from.has_max_duration()) {
    to.max_duration = absl::Seconds(from.max_duration().seconds()) +
                      absl::Nanoseconds(from.max_duration().nanos());
  }
  MILLRACE_ASSIGN_OR_RETURN(to.schedule, ReadSchedule(from.schedule()));
  to.seed = from.seed();
  MILLRACE_RETURN_IF_ERROR(Validate(to));
  return to;
}

absl::Status ReadColumns(const v1::FitDensitySpec& spec, FitDensityPlan& plan) {
  for (const v1::DensityColumn& column : spec.columns())
    plan.request.columns.push_back(
        {column.name(), column.location(), column.has_scale() ? column.scale() : 1.0});
  if (plan.teacher != nullptr) {
    if (!plan.request.columns.empty())
      return InvalidArgument("columns", absl::StrCat(spec.columns_size(), " columns"),
                             "none: the student has the teacher's");
    plan.columns = plan.teacher->density->model().columns.dim();
    return absl::OkStatus();
  }
  if (plan.energy && plan.request.columns.empty()) plan.request.columns = ColumnsOf(*plan.energy);
  plan.columns = static_cast<int>(plan.request.columns.size());
  if (plan.energy && plan.columns != 2)
    return InvalidArgument("columns", absl::StrCat(plan.columns, " columns"),
                           "two, or none: the built-in densities have two");
  return CheckColumns(plan.request.columns);
}

absl::Status ReadTarget(const v1::FitDensitySpec& spec, const App& app, FitDensityPlan& plan) {
  switch (spec.target_case()) {
    case v1::FitDensitySpec::kBuiltIn: {
      MILLRACE_ASSIGN_OR_RETURN(plan.energy, FromProto(kEnergies, "built_in", spec.built_in()));
      return absl::OkStatus();
    }
    case v1::FitDensitySpec::kTeacher: {
      MILLRACE_ASSIGN_OR_RETURN(
          plan.teacher, app.repository.Get(spec.teacher().name(), spec.teacher().version()));
      return CheckTeacher(plan.teacher->density->model());
    }
    case v1::FitDensitySpec::kClient:
      return absl::OkStatus();
    case v1::FitDensitySpec::TARGET_NOT_SET:
      break;
  }
  return InvalidArgument("target", "nothing", "a built_in, client or teacher density");
}

}  // namespace

absl::StatusOr<FitDensityPlan> ReadFitDensitySpec(const v1::FitDensitySpec& spec, const App& app) {
  const Limits& limits = app.config.limits;
  if (spec.columns_size() > limits.max_columns)
    return MakeError(
        absl::StatusCode::kResourceExhausted,
        {.field = "columns",
         .value = absl::StrCat(spec.columns_size(), " columns"),
         .expected = absl::StrCat("at most ", limits.max_columns, " (--max_columns)")});
  FitDensityPlan plan;
  MILLRACE_RETURN_IF_ERROR(ReadTarget(spec, app, plan));
  MILLRACE_RETURN_IF_ERROR(ReadColumns(spec, plan));
  MILLRACE_ASSIGN_OR_RETURN(plan.request.flow, ReadFlow(spec.flow()));
  MILLRACE_ASSIGN_OR_RETURN(plan.request.options, ReadOptions(spec.options()));
  const std::uint64_t seed = plan.request.options.seed;
  MILLRACE_ASSIGN_OR_RETURN(
      const FlowSpec flow,
      plan.teacher == nullptr
          ? ChooseDensityFlow(plan.request.flow, plan.columns, seed)
          : ChooseStudentFlow(plan.request.flow, plan.teacher->density->model().spec, seed));
  MILLRACE_RETURN_IF_ERROR(CheckParameters(flow, limits));
  if (spec.target_case() != v1::FitDensitySpec::kClient) return plan;
  // The answer has one number more a point.
  MILLRACE_RETURN_IF_ERROR(
      CheckReplySize(plan.request.options.batch_size.value_or(ReverseKlOptions{}.batch_size),
                     plan.columns + 1, "options.batch_size", limits));
  return plan;
}

}  // namespace millrace
