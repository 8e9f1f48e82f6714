// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_TESTS_SERVER_SUPPORT_IN_PROCESS_SERVER_H_
#define MILLRACE_TESTS_SERVER_SUPPORT_IN_PROCESS_SERVER_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/flow/backend.h"
#include "grpcpp/channel.h"
#include "grpcpp/support/status.h"
#include "millrace/v1/density_service.grpc.pb.h"
#include "millrace/v1/error.pb.h"
#include "millrace/v1/model_service.grpc.pb.h"
#include "server/server.h"
#include "tests/server/support/temp_folder.h"

namespace millrace {

// A real server on loopback that serves SmallModel as "small" version 1, with stubs that talk to
// it. Its limits are low, so that tests reach them: 1000 rows and a million evaluations a request,
// 8 columns, 5000 rows a sample, tables of 2000 rows or 32 kB, messages of 1 MiB; and every query
// takes its way through the queue. `adjust` may change the configuration first; metrics are exposed
// by ExposeMetrics only. The backend is the CPU's unless one is given.
class InProcessServer {
 public:
  explicit InProcessServer(
      const std::function<void(Config&)>& adjust = [](Config&) {},
      std::unique_ptr<Backend> backend = nullptr);

  v1::DensityService::Stub& density() { return *density_; }
  v1::ModelService::Stub& models() { return *models_; }
  Server& server() { return *server_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  const std::string& model_dir() const { return folder_.path(); }
  // A connection of its own.
  std::shared_ptr<grpc::Channel> NewChannel() const;
  // What GET /metrics answers; wants ExposeMetrics.
  std::string Metrics() const;

 private:
  TempFolder folder_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::DensityService::Stub> density_;
  std::unique_ptr<v1::ModelService::Stub> models_;
};

inline void ExposeMetrics(Config& config) { config.metrics_address = "127.0.0.1:0"; }

// A matrix of raw doubles.
v1::Matrix MakeMatrix(std::uint32_t rows, std::uint32_t cols, const std::vector<double>& values);
// `rows` rows within the support of SmallModel.
v1::Matrix SmallRows(std::uint32_t rows);

// The log-density of one row, as the server answers it.
grpc::Status LogProb(InProcessServer& server, std::chrono::system_clock::time_point deadline =
                                                  std::chrono::system_clock::time_point::max());
// The same until the server is no longer full, within half a minute: callers hear of their
// deadlines before the worker has let go of their work.
bool AnswersSoon(InProcessServer& server);

// Work that takes minutes, for a server with AllowEndless.
v1::ScoreRequest EndlessRequest();
void AllowEndless(Config& config);

// The detail of a failed call; empty where there is none.
v1::ErrorDetail DetailOf(const grpc::Status& status);

// A table that trains in a moment, and a spec that wants no more than a moment.
v1::TrainSpec QuickSpec(const std::string& name);
v1::Matrix QuickTable(std::uint32_t rows = 200);
// Trains with these messages; `events` gets what came back.
grpc::Status Train(v1::DensityService::Stub& stub, const std::vector<v1::TrainRequest>& messages,
                   std::vector<v1::TrainResponse>* events = nullptr);
std::vector<v1::TrainRequest> TrainMessages(const v1::TrainSpec& spec,
                                            const std::vector<v1::Matrix>& chunks);

}  // namespace millrace

#endif  // MILLRACE_TESTS_SERVER_SUPPORT_IN_PROCESS_SERVER_H_
