// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_SERVER_RPC_TRAIN_STREAM_H_
#define MILLRACE_SERVER_RPC_TRAIN_STREAM_H_

#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/app/app.h"

namespace millrace {

// Answers one Train call: reads the spec and the table, hands them to TrainingJobs, and writes what
// it hears from there. It decodes the TrainRequests itself: gRPC does not tell the end of a stream
// from a message that cannot be decoded, and half a table must not be trained on. The result
// deletes itself.
grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* StartTrainStream(
    const App& app, grpc::CallbackServerContext* context);

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_TRAIN_STREAM_H_
