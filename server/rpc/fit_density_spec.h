// SPDX-License-Identifier: Apache-2.0
// millrace.v1.FitDensitySpec to what the core takes.
#ifndef MILLRACE_SERVER_RPC_FIT_DENSITY_SPEC_H_
#define MILLRACE_SERVER_RPC_FIT_DENSITY_SPEC_H_

#include <optional>

#include "absl/status/statusor.h"
#include "core/train/energies.h"
#include "core/train/fit_density.h"
#include "millrace/v1/fit_density_messages.pb.h"
#include "server/app/app.h"

namespace millrace {

struct FitDensityPlan {
  FitDensityRequest request;
  // The target; neither: the caller's density.
  std::optional<Energy> energy;
  ModelHandle teacher;
  int columns = 0;  // of the density
};

// INVALID_ARGUMENT naming the field for a value out of range or values that contradict each other;
// RESOURCE_EXHAUSTED for more columns, parameters or numbers a message than the limits allow;
// UNIMPLEMENTED for a base or a teacher that cannot be used; else as ModelRepository::Get of the
// teacher. The model's name is not looked at.
absl::StatusOr<FitDensityPlan> ReadFitDensitySpec(const v1::FitDensitySpec& spec, const App& app);

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_FIT_DENSITY_SPEC_H_
