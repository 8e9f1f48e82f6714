// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_SERVER_RPC_SAMPLE_STREAM_H_
#define MILLRACE_SERVER_RPC_SAMPLE_STREAM_H_

#include <atomic>

#include "grpcpp/support/server_callback.h"
#include "millrace/v1/density_messages.pb.h"
#include "server/app/app.h"

namespace millrace {

// Answers one Sample call chunk by chunk: a chunk is computed when the one before has been taken by
// the network, so that a slow reader holds one chunk of memory and no worker. `open_streams` counts
// the calls under way, against Config::max_sample_streams. The result deletes itself.
grpc::ServerWriteReactor<v1::SampleResponse>* StartSampleStream(
    const App& app, grpc::CallbackServerContext* context, const v1::SampleRequest& request,
    std::atomic<int>& open_streams);

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_SAMPLE_STREAM_H_
