// SPDX-License-Identifier: Apache-2.0
// What a client can get wrong: tables of calls, and what the server must make of each.
#ifndef MILLRACE_TESTS_SERVER_SUPPORT_BAD_INPUT_H_
#define MILLRACE_TESTS_SERVER_SUPPORT_BAD_INPUT_H_

#include <functional>
#include <string>
#include <vector>

#include "tests/server/support/in_process_server.h"

namespace millrace {

struct BadCall {
  std::string what;
  grpc::StatusCode code;
  std::string field;  // that the error's detail names; empty: any
  std::function<grpc::Status(InProcessServer&)> call;
};

// Sends each through a real server: it gets its code and names its field, the same server answers
// good calls afterwards, and nothing is published under the name "bad".
void ExpectRefused(
    const std::vector<BadCall>& calls, const std::function<void(Config&)>& adjust = [](Config&) {});

// A call that is good until `spoil` changes its request.
template <typename Request>
using Spoil = std::function<void(Request&)>;
grpc::Status LogProb(InProcessServer& server, const Spoil<v1::LogProbRequest>& spoil);
grpc::Status Score(InProcessServer& server, const Spoil<v1::ScoreRequest>& spoil);
grpc::Status Interpolate(InProcessServer& server, const Spoil<v1::InterpolateRequest>& spoil);
grpc::Status Encode(InProcessServer& server, const Spoil<v1::EncodeRequest>& spoil);
grpc::Status Decode(InProcessServer& server, const Spoil<v1::DecodeRequest>& spoil);
grpc::Status Sample(InProcessServer& server, const Spoil<v1::SampleRequest>& spoil);
grpc::Status Get(InProcessServer& server, const std::string& name, std::uint64_t version);

}  // namespace millrace

#endif  // MILLRACE_TESTS_SERVER_SUPPORT_BAD_INPUT_H_
