// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_SERVER_RPC_TRAIN_STREAM_H_
#define MILLRACE_SERVER_RPC_TRAIN_STREAM_H_

#include "grpcpp/support/server_callback.h"
#include "millrace/v1/train_messages.pb.h"
#include "server/app/app.h"

namespace millrace {

// Answers one Train call: reads the spec and the table, hands them to TrainingJobs, and writes what it
// hears from there. The result deletes itself.
grpc::ServerBidiReactor<v1::TrainRequest, v1::TrainResponse>* StartTrainStream(
    const App& app, grpc::CallbackServerContext* context);

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_TRAIN_STREAM_H_
