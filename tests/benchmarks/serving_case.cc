// SPDX-License-Identifier: Apache-2.0
#include "tests/benchmarks/serving_case.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>
#include <utility>

#include "core/base/check.h"
#include "core/conditioners/made.h"
#include "core/cpu/cpu_backend.h"
#include "core/flow/flow.h"
#include "core/math/uniform.h"
#include "core/score/density.h"
#include "grpcpp/grpcpp.h"
#include "millrace/v1/density_service.grpc.pb.h"

extern char** environ;

namespace millrace {

Model ServingModel() {
  constexpr int kHidden = 100;
  Model model;
  model.spec = {.dim = kColumns,
                .seed = 1,
                .stack = StackSpec{.layers = 5, .hidden_sizes = {kHidden, kHidden}}};
  const auto flow = Flow::Create(model.spec);
  model.parameters = (*flow)->InitialParameters();
  for (const ParameterLayout::Entry& entry : (*flow)->layout().entries()) {
    if (entry.name.find("output.weight") == std::string::npos) continue;
    for (int o = 0; o < entry.slice.rows; ++o) {
      int used = 0;
      for (const int degree : Made::Degrees(kHidden, kColumns, 0)) used += degree <= o / 2;
      for (int i = 0; i < used; ++i)
        model.parameters[entry.slice.offset + static_cast<std::size_t>(o) * entry.slice.ld + i] =
            static_cast<float>((UniformAt(3, 1, o, i) - 0.5) * 0.2 / std::sqrt(kHidden));
    }
  }
  std::vector<Column> columns(kColumns);
  for (int c = 0; c < kColumns; ++c) columns[c].name = "x" + std::to_string(c);
  model.columns = *ColumnModel::FromColumns(std::move(columns));
  for (int i = 0; i < 99; ++i) model.calibration.log_probs.push_back(-100.0 + i);
  model.calibration.false_positive_rate = 0.05;
  model.report.stop_reason = StopReason::kMaxEpochs;
  return model;
}

std::vector<float> ServingRows(std::int64_t count) {
  std::vector<float> values;
  for (std::int64_t r = 0; r < count; ++r)
    for (int c = 0; c < kColumns; ++c)
      values.push_back(static_cast<float>(4.0 * UniformAt(2, 1, r, c) - 2.0));
  return values;
}

Process::Process(std::vector<std::string> command) {
  std::vector<char*> argv;
  for (std::string& argument : command) argv.push_back(argument.data());
  argv.push_back(nullptr);
  int ends[2];
  MILLRACE_CHECK(pipe(ends) == 0);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, ends[1], 2);
  posix_spawn_file_actions_addclose(&files, ends[0]);
  MILLRACE_CHECK(posix_spawn(&pid_, argv[0], &files, nullptr, argv.data(), environ) == 0);
  posix_spawn_file_actions_destroy(&files);
  close(ends[1]);
  std::string log;
  for (char c = 0; read(ends[0], &c, 1) == 1;) {
    log += c;
    const std::size_t at = log.find(" port=");
    if (c != '\n' || at == std::string::npos) continue;
    port_ = std::atoi(log.c_str() + at + 6);
    break;
  }
  if (port_ == 0) {
    std::fprintf(stderr, "%s does not serve:\n%s", argv[0], log.c_str());
    std::exit(1);
  }
  std::thread([log_end = ends[0]] {  // it must not wait for a reader of its log
    char rest[4096];
    while (read(log_end, rest, sizeof(rest)) > 0) {
    }
    close(log_end);
  })
      .detach();
}

Process::~Process() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

double Process::ResidentMegabytes() const {
  std::ifstream file("/proc/" + std::to_string(pid_) + "/statm");
  double all = 0, resident = 0;
  file >> all >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1e6;
}

double Process::CpuSeconds() const {
  std::ifstream file("/proc/" + std::to_string(pid_) + "/stat");
  std::stringstream text;
  text << file.rdbuf();
  std::istringstream fields(text.str().substr(text.str().rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

namespace {

class Echo final
    : public v1::DensityService::WithCallbackMethod_LogProb<v1::DensityService::Service> {
 public:
  explicit Echo(const Density* density) : density_(density) {}

 private:
  grpc::ServerUnaryReactor* LogProb(grpc::CallbackServerContext* context,
                                    const v1::LogProbRequest* request,
                                    v1::LogProbResponse* response) override {
    response->set_name(request->name());
    response->set_version(1);
    if (density_ == nullptr) {
      response->add_log_prob(0.5);
      response->add_out_of_support(false);
    } else {
      Evaluate(*request, response);
    }
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  void Evaluate(const v1::LogProbRequest& request, v1::LogProbResponse* response) const {
    double log_prob = 0.0;
    std::uint8_t out_of_support = 0;
    MILLRACE_CHECK(density_
                       ->LogProb({.rows = {request.rows().raw_f32_le().data(),
                                           NumberRows::Type::kFloat32, 1, kColumns},
                                  .log_prob = {&log_prob, 1},
                                  .out_of_support = {&out_of_support, 1}})
                       .ok());
    response->add_log_prob(log_prob);
    response->add_out_of_support(out_of_support != 0);
  }

  const Density* const density_;
};

}  // namespace

void ServeEcho(bool evaluates) {
  const std::unique_ptr<Backend> backend = CreateCpuBackend();
  const auto density = Density::Create(std::make_shared<Model>(ServingModel()), *backend);
  MILLRACE_CHECK(density.ok());
  Echo echo(evaluates ? density->get() : nullptr);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(64 << 20);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 1024);
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&echo);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  std::fprintf(stderr, "echo port=%d\n", port);
  server->Wait();
  std::abort();
}

}  // namespace millrace
