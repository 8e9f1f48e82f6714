// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_TRAIN_DISTILL_H_
#define MILLRACE_CORE_TRAIN_DISTILL_H_

#include <cstdint>
#include <memory>
#include <stop_token>

#include "absl/status/statusor.h"
#include "core/train/fit_density.h"

namespace millrace {

struct DistillRequest {
  std::shared_ptr<const Model> teacher = nullptr;  // without conditions
  FlowChoice flow = {};
  FitDensityOptions options = {};
};

// A student with the teacher's density (van den Oord et al. 2018, Parallel WaveNet): as FitDensity,
// in the standardised units of the teacher's columns, which are the student's too.
//
// With nothing chosen of the flow, a teacher that CanUnroll (core/train/unrolled.h) has its own
// layers unrolled as student, which starts with its parameters: by default such a fit is longer,
// in smaller batches at a lower rate, and without annealing. Any other student is an IAF unless
// another architecture is chosen; its linear layers start at the covariance of the teacher's
// samples.
//
// TrainingReport::density_fit has KL(student || teacher) of these units. Errors as FitDensity;
// UNIMPLEMENTED for a teacher with conditions.
absl::StatusOr<Model> Distill(const DistillRequest& request, Backend& backend,
                              const ProgressCallback& progress, std::stop_token stop);

// UNIMPLEMENTED for a teacher with conditions.
absl::Status CheckTeacher(const Model& teacher);

// The flow of Distill for a valid teacher. Errors as ChooseDensityFlow.
absl::StatusOr<FlowSpec> ChooseStudentFlow(const FlowChoice& choice, const FlowSpec& teacher,
                                           std::uint64_t seed);

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_DISTILL_H_
