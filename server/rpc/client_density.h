// SPDX-License-Identifier: Apache-2.0
// A density that the caller of FitDensity evaluates.
#ifndef MILLRACE_SERVER_RPC_CLIENT_DENSITY_H_
#define MILLRACE_SERVER_RPC_CLIENT_DENSITY_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stop_token>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/train/fit_density.h"
#include "millrace/v1/fit_density_messages.pb.h"
#include "server/app/config.h"

namespace millrace {

// Evaluate belongs to the thread that fits, Take to those that read.
class ClientDensity final : public TargetDensity {
 public:
  // `send` hands points to the caller, who may be silent for config.upload_idle_timeout; `config`
  // outlives this. Waits end when `stop` is requested.
  ClientDensity(std::function<void(v1::DensityPoints)> send, const Config& config,
                std::stop_token stop)
      : send_(std::move(send)), config_(config), stop_(std::move(stop)) {}

  // CANCELLED when stopped, DEADLINE_EXCEEDED when no answer comes in config.upload_idle_timeout.
  absl::Status Evaluate(RowsView<const double> x, std::span<double> log_density,
                        RowsView<double> gradient) override;

  // The caller's answer. INVALID_ARGUMENT where no points wait for it, or naming the field that is
  // misshapen, or row and column of a derivative that is not finite.
  absl::Status Take(const v1::DensityValues& values);

 private:
  const std::function<void(v1::DensityPoints)> send_;
  const Config& config_;
  const std::stop_token stop_;

  std::mutex mutex_;
  std::condition_variable_any answered_;
  std::uint64_t id_ = 0;  // guarded by mutex_, as all below; of the latest points
  bool waiting_ = false;
  std::span<double> log_density_;  // where the answer goes while it is waited for
  RowsView<double> gradient_;
};

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_CLIENT_DENSITY_H_
