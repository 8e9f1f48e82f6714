// SPDX-License-Identifier: Apache-2.0
// Runs subcommands against a server whose answers are known.
#ifndef MILLRACE_TESTS_CLIENT_CLI_COMMANDS_H_
#define MILLRACE_TESTS_CLIENT_CLI_COMMANDS_H_

#include <gtest/gtest.h>

#include <string>

#include "client/cli/commands/command.h"
#include "tests/client/cli/files.h"
#include "tests/client/fake_server.h"

namespace millrace::cli {

class Commands : public ::testing::Test {
 protected:
  // Every model is known, at version 3 unless another is asked for, and none has conditions.
  Commands() {
    server_.get_model = [](auto&, const auto& request, auto& response) {
      response.mutable_model()->set_name(request.name());
      response.mutable_model()->set_version(request.version() == 0 ? 3 : request.version());
      return grpc::Status::OK;
    };
  }

  // Runs `millrace ARGUMENTS --server FAKE`; `out_` is what it printed.
  absl::Status Run(const std::string& arguments, bool with_server = true) {
    CLI::App app;
    absl::Status result;
    AddTrainCommand(app, result);
    AddLogProbCommand(app, result);
    AddScoreCommand(app, result);
    AddSampleCommand(app, result);
    AddInterpolateCommand(app, result);
    AddCompleteCommand(app, result);
    AddAttributeCommand(app, result);
    AddManipulateCommand(app, result);
    AddModelsCommand(app, result);
    AddDescribeCommand(app, result);
    AddDeleteCommand(app, result);
    AddGenerateCommand(app, result);
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    try {
      app.parse(arguments + (with_server ? " --server " + server_.target : ""));
    } catch (const CLI::ParseError& error) {
      result = absl::FailedPreconditionError(error.what());  // wrong usage, in these tests
    }
    err_ = ::testing::internal::GetCapturedStderr();
    out_ = ::testing::internal::GetCapturedStdout();
    return result;
  }

  client::FakeServer server_;
  TempFolder folder_;
  std::string out_;
  std::string err_;
};

}  // namespace millrace::cli

#endif  // MILLRACE_TESTS_CLIENT_CLI_COMMANDS_H_
