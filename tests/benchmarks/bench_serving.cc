// SPDX-License-Identifier: Apache-2.0
// The server on loopback, in a process of its own, with this client on the same cores: LogProb of
// one row at 1, 8 and 64 concurrent callers, in turns with an echo service and with an echo that
// evaluates the flow, and StreamLogProb of many rows beside the core in this process. A table on
// stderr, JSON on stdout: rates are the best round's, ratios their medians.
//
//   bench_serving [SERVER] [FLAG...] --rounds=5 --seconds=1 --rows=1000000 [--callers=8]
//
// SERVER is millrace-server, by default the one beside this program; flags are its own.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/base/check.h"
#include "core/cpu/cpu_backend.h"
#include "core/io/model_file.h"
#include "core/score/density.h"
#include "grpcpp/grpcpp.h"
#include "millrace/v1/density_service.grpc.pb.h"
#include "tests/benchmarks/serving_case.h"

namespace millrace {
namespace {

using Clock = std::chrono::steady_clock;
using Stub = v1::DensityService::Stub;

double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

struct Options {
  std::vector<int> callers = {1, 8, 64};
  int rounds = 5;
  double seconds = 1;
  std::int64_t rows = 1'000'000;
  std::vector<std::string> server;  // its command line
};

void SetRows(const std::vector<float>& values, std::int64_t first, std::int64_t count,
             v1::Matrix* matrix) {
  matrix->set_rows(static_cast<std::uint32_t>(count));
  matrix->set_cols(kColumns);
  matrix->set_raw_f32_le(values.data() + first * kColumns,
                         static_cast<std::size_t>(count) * kColumns * sizeof(float));
}

// Callers that each ask again as soon as they are answered, until the time is up.
class Callers {
 public:
  Callers(Stub& stub, const v1::LogProbRequest& request) : stub_(stub), request_(request) {}

  // Microseconds of each call.
  std::vector<float> Run(int callers, double seconds) {
    end_ = Clock::now() +
           std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    std::vector<Call> calls(static_cast<std::size_t>(callers));
    open_ = callers;
    for (Call& call : calls) Start(call);
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return open_ == 0; });
    std::vector<float> all;
    for (const Call& call : calls) all.insert(all.end(), call.micros.begin(), call.micros.end());
    return all;
  }

 private:
  struct Call {
    std::unique_ptr<grpc::ClientContext> context;
    v1::LogProbResponse response;
    Clock::time_point begin;
    std::vector<float> micros;
  };

  void Start(Call& call) {
    call.context = std::make_unique<grpc::ClientContext>();
    call.begin = Clock::now();
    stub_.async()->LogProb(
        call.context.get(), &request_, &call.response, [this, &call](const grpc::Status& status) {
          MILLRACE_CHECK(status.ok() && call.response.log_prob_size() == 1);
          call.micros.push_back(static_cast<float>(SecondsSince(call.begin) * 1e6));
          if (Clock::now() < end_) return Start(call);
          const std::lock_guard lock(mutex_);
          if (--open_ == 0) ended_.notify_one();
        });
  }

  Stub& stub_;
  const v1::LogProbRequest& request_;
  Clock::time_point end_;
  std::mutex mutex_;
  std::condition_variable ended_;
  int open_ = 0;  // guarded by mutex_
};

std::unique_ptr<Stub> Connect(int port) {
  return v1::DensityService::NewStub(
      grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials()));
}

struct Service {
  const char* name;
  const Process* process;
  std::unique_ptr<Stub> stub = Connect(process->port());
};

// What the callers of a service saw.
class Side {
 public:
  void Measure(const Service& service, const v1::LogProbRequest& request, int callers,
               double seconds) {
    Callers calls(*service.stub, request);
    const double cpu = service.process->CpuSeconds(), client = ProcessCpuSeconds();
    const Clock::time_point begin = Clock::now();
    const std::vector<float> micros = calls.Run(callers, seconds);
    rates_.push_back(static_cast<double>(micros.size()) / SecondsSince(begin));
    cpu_ += service.process->CpuSeconds() - cpu;
    client_cpu_ += ProcessCpuSeconds() - client;
    micros_.insert(micros_.end(), micros.begin(), micros.end());
  }

  double CpuMicros() const { return 1e6 * cpu_ / static_cast<double>(micros_.size()); }
  double ClientCpuMicros() const { return 1e6 * client_cpu_ / static_cast<double>(micros_.size()); }
  double Best() const { return *std::max_element(rates_.begin(), rates_.end()); }
  // The median over rounds of the rate beside the other's in the same round.
  double RatioTo(const Side& other) const {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < rates_.size(); ++i) ratios.push_back(rates_[i] / other.rates_[i]);
    std::sort(ratios.begin(), ratios.end());
    return ratios[ratios.size() / 2];
  }
  double Percentile(double p) {
    const auto at = micros_.begin() + static_cast<std::ptrdiff_t>(p * (micros_.size() - 1));
    std::nth_element(micros_.begin(), at, micros_.end());
    return *at;
  }

 private:
  static double ProcessCpuSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

  std::vector<double> rates_;  // requests/s, by round
  std::vector<float> micros_;
  double cpu_ = 0, client_cpu_ = 0;  // seconds of the service's process and of this one
};

// Services in turns, millrace the first.
void MeasureCalls(const Options& options, const std::vector<Service>& services, std::string& json) {
  v1::LogProbRequest request;
  request.set_name("bench");
  SetRows(ServingRows(1), 0, 1, request.mutable_rows());
  std::fprintf(stderr, "%8s %10s %12s %8s %8s %8s %8s %16s\n", "callers", "", "requests/s",
               "p50 us", "p99 us", "cpu us", "client's", "millrace/this");
  for (const int callers : options.callers) {
    for (const Service& service : services) Side().Measure(service, request, callers, 0.2);  // warm
    std::vector<Side> sides(services.size());
    for (int round = 0; round < options.rounds; ++round)
      for (std::size_t s = 0; s < services.size(); ++s)
        sides[s].Measure(services[s], request, callers, options.seconds);
    for (std::size_t s = 0; s < services.size(); ++s) {
      Side& side = sides[s];
      const double best = sides[0].Best() / side.Best(), median = sides[0].RatioTo(side);
      const double p50 = side.Percentile(0.5), p99 = side.Percentile(0.99);
      std::fprintf(stderr, "%8d %10s %12.0f %8.0f %8.0f %8.1f %8.1f    %.3f (%.3f)\n", callers,
                   services[s].name, side.Best(), p50, p99, side.CpuMicros(),
                   side.ClientCpuMicros(), median, best);
      char line[300];
      std::snprintf(line, sizeof(line),
                    "  {\"service\": \"%s\", \"callers\": %d, \"requests_per_s\": %.0f, "
                    "\"p50_us\": %.1f, \"p99_us\": %.1f, \"cpu_us\": %.1f, \"client_cpu_us\": "
                    "%.1f, \"ratio\": %.3f},\n",
                    services[s].name, callers, side.Best(), p50, p99, side.CpuMicros(),
                    side.ClientCpuMicros(), median);
      json += line;
    }
  }
}

constexpr std::int64_t kMessageRows = 8192;  // 1.4 MB
constexpr std::int64_t kDistinctRows = 1 << 16;

// Rows/s of the core in this process, by the message's number of rows.
double MeasureCore(const Options& options, const Density& density,
                   const std::vector<float>& values) {
  std::vector<double> log_prob(kMessageRows);
  std::vector<std::uint8_t> out_of_support(kMessageRows);
  const Clock::time_point begin = Clock::now();
  for (std::int64_t row = 0; row < options.rows; row += kMessageRows) {
    const std::int64_t count = std::min(kMessageRows, options.rows - row);
    const std::int64_t first = row % kDistinctRows;
    const auto n = static_cast<std::size_t>(count);
    MILLRACE_CHECK(density
                       .LogProb({.rows = {values.data() + first * kColumns, count, kColumns},
                                 .log_prob = {log_prob.data(), n},
                                 .out_of_support = {out_of_support.data(), n}})
                       .ok());
  }
  return static_cast<double>(options.rows) / SecondsSince(begin);
}

double MeasureStream(const Options& options, Stub& stub, const std::vector<float>& values) {
  const Clock::time_point begin = Clock::now();
  grpc::ClientContext context;
  const auto stream = stub.StreamLogProb(&context);
  std::thread writer([&] {
    v1::StreamLogProbRequest request;
    request.set_name("bench");
    for (std::int64_t row = 0; row < options.rows; row += kMessageRows) {
      SetRows(values, row % kDistinctRows, std::min(kMessageRows, options.rows - row),
              request.mutable_rows());
      MILLRACE_CHECK(stream->Write(request));
      request.clear_name();
    }
    stream->WritesDone();
  });
  v1::StreamLogProbResponse reply;
  std::int64_t rows = 0;
  while (stream->Read(&reply)) rows += reply.log_prob_size();
  writer.join();
  MILLRACE_CHECK(stream->Finish().ok() && rows == options.rows);
  return static_cast<double>(options.rows) / SecondsSince(begin);
}

void MeasureBulk(const Options& options, const Process& process, Stub& stub, std::string& json) {
  const std::unique_ptr<Backend> backend = CreateCpuBackend();
  const auto density = Density::Create(std::make_shared<Model>(ServingModel()), *backend);
  MILLRACE_CHECK(density.ok());
  const std::vector<float> values = ServingRows(kDistinctRows);
  MeasureStream({.rows = kDistinctRows, .server = {}}, stub, values);  // warm
  const double before = process.ResidentMegabytes();
  std::atomic<double> most = before;
  std::jthread watcher([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      most = std::max(most.load(), process.ResidentMegabytes());
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  double core = 0, streamed = 0, cpu = 0;
  for (int round = 0; round < std::min(options.rounds, 3); ++round) {
    core = std::max(core, MeasureCore(options, **density, values));
    const double cpu_before = process.CpuSeconds();
    streamed = std::max(streamed, MeasureStream(options, stub, values));
    cpu = process.CpuSeconds() - cpu_before;
  }
  watcher.request_stop();
  watcher.join();
  const double after = process.ResidentMegabytes();
  std::fprintf(stderr,
               "\nbulk: core %.0f rows/s, StreamLogProb %.0f rows/s, ratio %.3f; server %.2f s of "
               "cpu a stream\nserver memory: %.1f MB before, %.1f MB at most, %.1f MB after\n",
               core, streamed, streamed / core, cpu, before, most.load(), after);
  char line[300];
  std::snprintf(line, sizeof(line),
                "  {\"bulk_rows\": %lld, \"core_rows_per_s\": %.0f, \"stream_rows_per_s\": %.0f, "
                "\"memory_mb\": [%.1f, %.1f, %.1f]}\n",
                static_cast<long long>(options.rows), core, streamed, before, most.load(), after);
  json += line;
}

Options ReadOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto value = [&](const char* name) {
      return argument.starts_with(name) ? argv[i] + std::strlen(name) : nullptr;
    };
    if (const char* callers = value("--callers=")) {
      options.callers = {std::max(1, std::atoi(callers))};
    } else if (const char* rounds = value("--rounds=")) {
      options.rounds = std::max(1, std::atoi(rounds));
    } else if (const char* seconds = value("--seconds=")) {
      options.seconds = std::atof(seconds);
    } else if (const char* rows = value("--rows=")) {
      options.rows = std::atoll(rows);
    } else {
      options.server.push_back(argument);
    }
  }
  if (options.server.empty() || options.server[0].starts_with("--")) {
    options.server.insert(
        options.server.begin(),
        std::filesystem::read_symlink("/proc/self/exe").replace_filename("millrace-server"));
  }
  return options;
}

int Main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "--echo") ServeEcho(false);
  if (argc == 2 && std::string(argv[1]) == "--flow") ServeEcho(true);
  Options options = ReadOptions(argc, argv);
  std::string folder = std::filesystem::temp_directory_path() / "bench-serving-XXXXXX";
  MILLRACE_CHECK(mkdtemp(folder.data()) != nullptr);
  std::filesystem::create_directories(folder + "/bench/1");
  MILLRACE_CHECK(SaveModel(ServingModel(), folder + "/bench/1/model.safetensors").ok());
  options.server.insert(options.server.end(),
                        {"--model_dir=" + folder, "--address=127.0.0.1:0", "--metrics_address="});
  std::string json = "[\n";
  {
    const Process server(options.server);
    const Process echo({"/proc/self/exe", "--echo"}), flow({"/proc/self/exe", "--flow"});
    std::vector<Service> services;
    services.push_back({"millrace", &server});
    services.push_back({"flow", &flow});
    services.push_back({"echo", &echo});
    MeasureCalls(options, services, json);
    MeasureBulk(options, server, *Connect(server.port()), json);
  }
  std::filesystem::remove_all(folder);
  std::printf("%s]\n", json.c_str());
  return 0;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) { return millrace::Main(argc, argv); }
