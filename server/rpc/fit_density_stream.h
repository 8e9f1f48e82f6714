// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_SERVER_RPC_FIT_DENSITY_STREAM_H_
#define MILLRACE_SERVER_RPC_FIT_DENSITY_STREAM_H_

#include "grpcpp/support/server_callback.h"
#include "millrace/v1/fit_density_messages.pb.h"
#include "server/app/app.h"

namespace millrace {

// Answers one FitDensity call: reads the spec, hands the fit to TrainingJobs, and carries points,
// values and events between it and the caller. A message that cannot be decoded ends the fit as the
// end of the caller's side does. The result deletes itself.
grpc::ServerBidiReactor<v1::FitDensityRequest, v1::FitDensityResponse>* StartFitDensityStream(
    const App& app, grpc::CallbackServerContext* context);

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_FIT_DENSITY_STREAM_H_
