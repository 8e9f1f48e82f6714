// SPDX-License-Identifier: Apache-2.0
// Calls of StreamLogProb, about the model that an InProcessServer has.
#ifndef MILLRACE_TESTS_SERVER_SUPPORT_LOG_PROB_STREAM_H_
#define MILLRACE_TESTS_SERVER_SUPPORT_LOG_PROB_STREAM_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "grpcpp/grpcpp.h"
#include "millrace/v1/density_messages.pb.h"
#include "tests/server/support/in_process_server.h"

namespace millrace {

using LogProbStream = grpc::ClientReaderWriter<v1::StreamLogProbRequest, v1::StreamLogProbResponse>;

// A stream's first message and one after it.
v1::StreamLogProbRequest First(const v1::Matrix& rows, const std::string& name = "small");
v1::StreamLogProbRequest Later(const v1::Matrix& rows);

struct Outcome {
  std::vector<v1::StreamLogProbResponse> replies;
  grpc::Status status;

  std::vector<double> LogProbs() const;
};

// Sends all messages, closes its side, and reads what there is.
Outcome Exchange(InProcessServer& server, const std::vector<v1::StreamLogProbRequest>& messages);

// Writes up to `most` messages of so many rows, until none is taken any more; counts those that
// were in `written`.
void WriteUntilStuck(LogProbStream& stream, const std::vector<double>& values, std::uint32_t rows,
                     std::atomic<int>& written, int most);

}  // namespace millrace

#endif  // MILLRACE_TESTS_SERVER_SUPPORT_LOG_PROB_STREAM_H_
