// SPDX-License-Identifier: Apache-2.0
// LogProb and Score of many requests in one pass over one model.
#ifndef MILLRACE_SERVER_RPC_DENSITY_BATCH_H_
#define MILLRACE_SERVER_RPC_DENSITY_BATCH_H_

#include <cstddef>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/score/density.h"
#include "server/app/query.h"
#include "server/rpc/density_queries.h"

namespace millrace {

// One request of a batch; Request and Response are those of LogProb or Score. Both outlive the
// part.
template <typename Request, typename Response>
class DensityPart final : public BatchPart {
 public:
  DensityPart(const Request* request, Response* response, std::stop_token stop)
      : request_(request), response_(response), stop_(std::move(stop)) {}

  // The ComputeTogether of such parts.
  static std::vector<absl::Status> Answer(const ServedModel& served,
                                          std::span<BatchPart* const> parts);

 private:
  const Request* const request_;
  Response* const response_;
  const std::stop_token stop_;
};

template <typename Request, typename Response>
std::vector<absl::Status> DensityPart<Request, Response>::Answer(
    const ServedModel& served, std::span<BatchPart* const> parts) {
  std::vector<absl::Status> statuses(parts.size());
  std::vector<std::size_t> places;  // of those that are computed
  std::vector<LogProbQuery> queries;
  std::vector<LogProbJob> jobs;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto& part = static_cast<const DensityPart&>(*parts[i]);
    part.response_->Clear();
    part.response_->set_name(served.name);
    part.response_->set_version(served.version);
    absl::StatusOr<LogProbQuery> query =
        Prepare(*part.request_, served, part.stop_, part.response_);
    if (!query.ok()) {
      statuses[i] = std::move(query).status();
      continue;
    }
    places.push_back(i);
    queries.push_back(*std::move(query));
    jobs.push_back(queries.back().job);
  }
  std::vector<absl::Status> computed = served.density->LogProbMany(jobs);
  for (std::size_t j = 0; j < jobs.size(); ++j) {
    const auto& part = static_cast<const DensityPart&>(*parts[places[j]]);
    statuses[places[j]] =
        Complete(*part.request_, served, queries[j], std::move(computed[j]), part.response_);
  }
  return statuses;
}

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_DENSITY_BATCH_H_
