// SPDX-License-Identifier: Apache-2.0
#include "client/patience.h"

#include <algorithm>

namespace millrace::client {
namespace {

constexpr absl::Duration kLongest = absl::Hours(1'000'000);  // that a clock can still add

}  // namespace

Patience::Patience(grpc::ClientContext& context, absl::Duration timeout)
    : context_(context), timeout_(std::min(timeout, kLongest)) {
  if (timeout < absl::InfiniteDuration())
    watcher_ = std::jthread([this](const std::stop_token& stop) { Watch(stop); });
}

void Patience::Begin() {
  if (!watcher_.joinable()) return;
  const std::lock_guard lock(mutex_);
  deadline_ = Clock::now() + absl::ToChronoNanoseconds(timeout_);
  changed_.notify_one();
}

void Patience::End() {
  const std::lock_guard lock(mutex_);
  deadline_.reset();
}

bool Patience::ended() {
  const std::lock_guard lock(mutex_);
  return ended_;
}

void Patience::Watch(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return deadline_.has_value(); })) {
    // Waits that end in time only move the deadline on.
    if (const Clock::time_point deadline = *deadline_; Clock::now() < deadline) {
      changed_.wait_until(lock, stop, deadline, [] { return false; });
      continue;
    }
    ended_ = true;
    context_.TryCancel();
    return;
  }
}

}  // namespace millrace::client
