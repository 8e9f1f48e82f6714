// SPDX-License-Identifier: Apache-2.0
#include "tests/server/support/log_prob_stream.h"

#include <memory>
#include <thread>

namespace millrace {

v1::StreamLogProbRequest First(const v1::Matrix& rows, const std::string& name) {
  v1::StreamLogProbRequest request;
  request.set_name(name);
  *request.mutable_rows() = rows;
  return request;
}

v1::StreamLogProbRequest Later(const v1::Matrix& rows) { return First(rows, ""); }

std::vector<double> Outcome::LogProbs() const {
  std::vector<double> all;
  for (const v1::StreamLogProbResponse& reply : replies)
    all.insert(all.end(), reply.log_prob().begin(), reply.log_prob().end());
  return all;
}

Outcome Exchange(InProcessServer& server, const std::vector<v1::StreamLogProbRequest>& messages) {
  grpc::ClientContext context;
  const auto stream = server.density().StreamLogProb(&context);
  std::thread writer([&] {
    for (const v1::StreamLogProbRequest& message : messages)
      if (!stream->Write(message)) return;
    stream->WritesDone();
  });
  Outcome outcome;
  v1::StreamLogProbResponse reply;
  while (stream->Read(&reply)) outcome.replies.push_back(reply);
  writer.join();
  outcome.status = stream->Finish();
  return outcome;
}

void WriteUntilStuck(LogProbStream& stream, const std::vector<double>& values, std::uint32_t rows,
                     std::atomic<int>& written, int most) {
  const v1::Matrix matrix = MakeMatrix(rows, 4, values);
  while (written < most && stream.Write(written == 0 ? First(matrix) : Later(matrix))) ++written;
}

}  // namespace millrace
