// SPDX-License-Identifier: Apache-2.0
// The program as an operator meets it: flags, environment, signals, exit status.

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "millrace/v1/density_service.grpc.pb.h"

extern char** environ;

namespace millrace {
namespace {

using std::chrono::milliseconds;

class Program {
 public:
  Program(std::vector<std::string> arguments, const std::vector<std::string>& environment = {})
      : folder_(testing::TempDir() + "millrace-program-XXXXXX") {
    if (mkdtemp(folder_.data()) == nullptr) abort();
    arguments.insert(arguments.begin(), MILLRACE_SERVER_PROGRAM);
    arguments.push_back("--model_dir=" + folder_ + "/models");
    std::vector<char*> argv, env;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    for (const std::string& variable : environment)
      env.push_back(const_cast<char*>(variable.c_str()));
    for (char** variable = environ; *variable != nullptr; ++variable) env.push_back(*variable);
    env.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, Path().c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    EXPECT_EQ(posix_spawn(&pid_, MILLRACE_SERVER_PROGRAM, &files, nullptr, argv.data(), env.data()),
              0);
    posix_spawn_file_actions_destroy(&files);
  }

  ~Program() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      Wait();
    }
    std::filesystem::remove_all(folder_);
  }

  // Exit status; 128 + signal where one ended it.
  int Wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  void Signal(int signal) const { kill(pid_, signal); }

  std::string Output() const {
    std::ifstream file(Path());
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  bool WaitFor(const std::string& text) const {
    for (int i = 0; i < 1000; ++i) {
      if (Output().find(text) != std::string::npos) return true;
      std::this_thread::sleep_for(milliseconds(10));
    }
    ADD_FAILURE() << "no " << text << " in\n" << Output();
    return false;
  }

 private:
  std::string Path() const { return folder_ + "/output"; }

  std::string folder_;
  pid_t pid_ = 0;
};

const char kAnyPort[] = "--address=127.0.0.1:0";
const char kAnyMetricsPort[] = "--metrics_address=127.0.0.1:0";

TEST(Program, HelpIsForPeople) {
  Program program({"--help"});
  EXPECT_EQ(program.Wait(), 0);
  const std::string help = program.Output();
  for (const char* text : {"--address (127.0.0.1:50051)", "--model_dir (./models)",
                           "--max_train_rows", "--drain_delay", "MILLRACE_MODEL_DIR"}) {
    EXPECT_NE(help.find(text), std::string::npos) << text;
  }
  for (const char* foreign : {"--flagfile", "--undefok", ".cc"}) {
    EXPECT_EQ(help.find(foreign), std::string::npos) << foreign;
  }
}

TEST(Program, SaysItsVersion) {
  Program program({"--version"});
  EXPECT_EQ(program.Wait(), 0);
  EXPECT_THAT(program.Output(),
              testing::MatchesRegex("millrace-server [0-9]+\\.[0-9]+\\.[0-9]+ for x86-64.*\n"));
}

TEST(Program, TermEndsItWithZero) {
  for (const int signal : {SIGTERM, SIGINT}) {
    Program program({kAnyPort, kAnyMetricsPort});
    ASSERT_TRUE(program.WaitFor("serving"));
    program.Signal(signal);
    EXPECT_EQ(program.Wait(), 0);
    EXPECT_NE(program.Output().find("stopped"), std::string::npos);
  }
}

TEST(Program, ASecondSignalEndsItAtOnce) {
  Program program({kAnyPort, kAnyMetricsPort, "--drain_delay=60s"});
  ASSERT_TRUE(program.WaitFor("serving"));
  program.Signal(SIGTERM);
  ASSERT_TRUE(program.WaitFor("stopping"));
  program.Signal(SIGTERM);
  EXPECT_EQ(program.Wait(), 1);
}

TEST(Program, AFlagBeatsTheEnvironmentWhichBeatsTheDefault) {
  Program program({kAnyPort, "--metrics_address="},
                  {"MILLRACE_ADDRESS=nonsense", "MILLRACE_LOG_FORMAT=json"});
  ASSERT_TRUE(program.WaitFor("\"event\":\"serving\""));
  EXPECT_NE(program.Output().find("\"address\":\"127.0.0.1:0\""), std::string::npos);
  program.Signal(SIGTERM);
  EXPECT_EQ(program.Wait(), 0);
}

TEST(Program, NamesTheVariablesThatItDoesNotKnow) {
  Program program({kAnyPort, kAnyMetricsPort},
                  {"MILLRACE_MODELDIR=/models", "MILLRACE_MAX_DEADLINE=5m", "MILLRACE_DATA=/data",
                   "MILLRACE_SERVER=localhost:1"});
  ASSERT_TRUE(program.WaitFor(" serving "));
  const std::string log = program.Output();
  EXPECT_NE(log.find("MILLRACE_MODELDIR"), std::string::npos) << log;
  for (const char* known : {"MILLRACE_MAX_DEADLINE", "MILLRACE_DATA", "MILLRACE_SERVER"})
    EXPECT_EQ(log.find(known), std::string::npos) << log;
}

TEST(Program, WhatLibrariesLogIsJsonToo) {
  Program program({kAnyPort, "--metrics_address=", "--log_format=json"});
  ASSERT_TRUE(program.WaitFor("\"event\":\"serving\""));
  const std::string log = program.Output();
  const std::size_t port = log.find("\"port\":\"") + 8;
  const auto stub = v1::DensityService::NewStub(
      grpc::CreateChannel("127.0.0.1:" + log.substr(port, log.find('"', port) - port),
                          grpc::InsecureChannelCredentials()));
  v1::LogProbRequest request;
  request.set_name("\xff");  // no UTF-8
  v1::LogProbResponse response;
  grpc::ClientContext context;
  EXPECT_FALSE(stub->LogProb(&context, request, &response).ok());
  EXPECT_TRUE(program.WaitFor("\"event\":\"protobuf\""));
  std::istringstream lines(program.Output());
  for (std::string line; std::getline(lines, line);) EXPECT_EQ(line.substr(0, 9), "{\"time\":\"");
}

TEST(Program, RefusesABadConfiguration) {
  struct Case {
    std::vector<std::string> arguments;
    std::vector<std::string> environment;
    std::string says;
  };
  const Case cases[] = {
      {{}, {"MILLRACE_WORKER_THREADS=many"}, "MILLRACE_WORKER_THREADS"},
      {{}, {"MILLRACE_WORKER_THREADS=0"}, "--worker_threads: 0"},
      {{"--max_deadline=-1s"}, {}, "--max_deadline"},
      {{"--log_format=xml"}, {}, "log_format"},
      {{"--no_such_flag=1"}, {}, "no_such_flag"},
      {{"stray"}, {}, "stray"},
      {{"--address=no.such.host.invalid:1", kAnyMetricsPort}, {}, "--address"},
      {{"--address=nonsense"}, {}, "reason=\"--address: nonsense; expected host:port"},
      {{"--metrics_address=127.0.0.1:99999"}, {}, "--metrics_address: 127.0.0.1:99999; expected"},
      {{"--address=nonsense", "--log_format=json"}, {}, "{\"time\""},
  };
  for (const Case& test : cases) {
    Program program(test.arguments, test.environment);
    EXPECT_EQ(program.Wait(), 1) << test.says;
    EXPECT_NE(program.Output().find(test.says), std::string::npos) << program.Output();
  }
}

}  // namespace
}  // namespace millrace
