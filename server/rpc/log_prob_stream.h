// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_SERVER_RPC_LOG_PROB_STREAM_H_
#define MILLRACE_SERVER_RPC_LOG_PROB_STREAM_H_

#include <atomic>

#include "grpcpp/support/server_callback.h"
#include "millrace/v1/density_messages.pb.h"
#include "server/app/app.h"

namespace millrace {

// Answers one StreamLogProb call: reading, computing and writing overlap, within a few messages and
// bytes that are taken ahead of the replies; a slow reader holds those and no worker.
// `open_streams` counts the calls under way, against Config::max_log_prob_streams. The result
// deletes itself.
grpc::ServerBidiReactor<v1::StreamLogProbRequest, v1::StreamLogProbResponse>* StartLogProbStream(
    const App& app, grpc::CallbackServerContext* context, std::atomic<int>& open_streams);

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_LOG_PROB_STREAM_H_
