// SPDX-License-Identifier: Apache-2.0
// What fits to a density have in common, whoever evaluates it.
#ifndef MILLRACE_CORE_TRAIN_FIT_TARGET_H_
#define MILLRACE_CORE_TRAIN_FIT_TARGET_H_

#include <stop_token>

#include "absl/status/statusor.h"
#include "core/train/fit_density.h"
#include "core/train/reverse_kl.h"

namespace millrace {

struct TargetFit {
  FlowTarget& target;
  bool normalised = false;  // whether the target's integral is 1
  const FitDensityOptions& options;
};

// Fits the flow of model.spec, from model.parameters on, and fills in what `model` lacks: its
// parameters, calibration and report. Errors as FitDensity.
absl::StatusOr<Model> FitTarget(Model model, const TargetFit& fit, Backend& backend,
                                const ProgressCallback& progress, std::stop_token stop);

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_FIT_TARGET_H_
