// SPDX-License-Identifier: Apache-2.0
#include "core/train/distill.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/train/fit_target.h"
#include "core/train/start_parameters.h"
#include "core/train/unrolled.h"

namespace millrace {
namespace {

// Samples of the teacher that tell where training starts.
constexpr std::int64_t kEnoughRows = 20000;
enum Purpose : std::uint64_t { kFlow = 20, kTeacherSamples };

std::uint64_t SeedFor(std::uint64_t seed, Purpose purpose) {
  return seed * 0x9E3779B97F4A7C15u + purpose;
}

// A flow's density.
class FlowDensity final : public FlowTarget {
 public:
  FlowDensity(const DeviceWeights& weights, Backend& backend, std::stop_token stop)
      : weights_(weights), backend_(backend), stop_(std::move(stop)) {}

  // Where the teacher's density or its derivative overflows single precision it counts as 0.
  absl::Status Evaluate(RowsView<const float> x, std::span<double> log_density,
                        RowsView<float> gradient) override {
    MILLRACE_RETURN_IF_ERROR(
        backend_.LogProbGradient(weights_, x, {}, log_density, gradient, stop_));
    for (std::int64_t r = 0; r < x.rows; ++r) {
      const std::span<float> row = gradient.row(r);
      if (std::isfinite(log_density[r]) &&
          std::ranges::all_of(row, [](float v) { return std::isfinite(v); }))
        continue;
      log_density[r] = -INFINITY;
      std::ranges::fill(row, 0.0f);
    }
    return absl::OkStatus();
  }

 private:
  const DeviceWeights& weights_;
  Backend& backend_;
  std::stop_token stop_;
};

// Those of a start near the end (decision 0011).
FitDensityOptions WithUnrolledDefaults(FitDensityOptions options) {
  options.learning_rate = options.learning_rate.value_or(1e-4);
  options.batch_size = options.batch_size.value_or(256);
  options.steps = options.steps.value_or(20000);
  options.annealing_steps = options.annealing_steps.value_or(0);
  return options;
}

bool IsUnrolled(const FlowChoice& choice, const FlowSpec& teacher) {
  return choice == FlowChoice{} && CanUnroll(teacher) && CheckSampleGradient(teacher.base).ok();
}

}  // namespace

absl::Status CheckTeacher(const Model& teacher) {
  if (teacher.context.conditions().empty()) return absl::OkStatus();
  return MakeError(absl::StatusCode::kUnimplemented,
                   {.field = "teacher",
                    .value = absl::StrCat(teacher.context.conditions().size(), " conditions"),
                    .expected = "a model without conditions"});
}

absl::StatusOr<FlowSpec> ChooseStudentFlow(const FlowChoice& choice, const FlowSpec& teacher,
                                           std::uint64_t seed) {
  if (IsUnrolled(choice, teacher)) return Unrolled(teacher);
  FlowChoice chosen = choice;
  if (!chosen.stack.architecture && !chosen.chain) chosen.stack.architecture = Architecture::kIaf;
  return ChooseDensityFlow(chosen, teacher.dim, seed);
}

absl::StatusOr<Model> Distill(const DistillRequest& request, Backend& backend,
                              const ProgressCallback& progress, std::stop_token stop) {
  MILLRACE_RETURN_IF_ERROR(Validate(request.options));
  const Model& teacher = *request.teacher;
  MILLRACE_RETURN_IF_ERROR(CheckTeacher(teacher));
  MILLRACE_ASSIGN_OR_RETURN(const std::shared_ptr<const Flow> teacher_flow,
                            Flow::Create(teacher.spec));
  MILLRACE_ASSIGN_OR_RETURN(const std::shared_ptr<const DeviceWeights> weights,
                            backend.Upload(teacher_flow, teacher.parameters.span()));
  const bool unrolled = IsUnrolled(request.flow, teacher.spec);
  const FitDensityOptions options =
      unrolled ? WithUnrolledDefaults(request.options) : request.options;
  Model student;
  student.columns = teacher.columns;
  MILLRACE_ASSIGN_OR_RETURN(student.spec, ChooseStudentFlow(request.flow, teacher.spec,
                                                            SeedFor(request.options.seed, kFlow)));
  MILLRACE_ASSIGN_OR_RETURN(const std::shared_ptr<const Flow> flow, Flow::Create(student.spec));
  if (unrolled) {
    student.parameters = UnrolledParameters(*teacher_flow, teacher.parameters.span(), *flow);
  } else {
    Rows<float> samples(kEnoughRows, flow->dim());
    MILLRACE_RETURN_IF_ERROR(backend.Sample(*weights,
                                            SeedFor(request.options.seed, kTeacherSamples), 0, 1.0,
                                            {}, samples.view(), {}, stop));
    MILLRACE_ASSIGN_OR_RETURN(student.parameters,
                              StartParameters(*flow, {samples.view(), {}}, 0.0, backend, stop));
  }
  FlowDensity density(*weights, backend, stop);
  return FitTarget(std::move(student), {.target = density, .normalised = true, .options = options},
                   backend, progress, std::move(stop));
}

}  // namespace millrace
