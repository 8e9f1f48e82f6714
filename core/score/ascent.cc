// SPDX-License-Identifier: Apache-2.0
#include "core/score/ascent.h"

#include <algorithm>
#include <cmath>

#include "core/base/status_macros.h"

namespace millrace {
namespace {

// In standardised units.
constexpr double kFlat = 1e-3;        // a gradient that counts as none, a unit
constexpr double kShortest = 1e-6;    // a step that counts as none, relative beyond 1
constexpr double kLongest = 1.0;      // step of any column
constexpr double kSufficient = 1e-4;  // share of the rise promised that suffices (Armijo)
constexpr double kRounding = 1e-6;    // of a log-density, relative beyond 1
constexpr double kShorten = 0.25;

}  // namespace

void Climb::Take() {
  ++evaluations_;
  const double lowest =
      *std::min_element(recent_.begin(), recent_.begin() + std::min(accepted_, kMemory));
  const double slack = kRounding * std::max(1.0, std::abs(at_.log_prob));
  if (accepted_ == 0 || trial_.log_prob >= lowest + kSufficient * rise_ - slack) {
    Accept();
  } else {
    step_ *= kShorten;
  }
  Propose();
}

void Climb::Accept() {
  double squares = 0.0, curvature = 0.0;
  for (const int i : columns_) {
    const double moved = double{trial_.x[i]} - at_.x[i];
    squares += moved * moved;
    if (accepted_ > 0) curvature -= moved * (double{trial_.gradient[i]} - at_.gradient[i]);
  }
  if (accepted_ > 0) step_ = curvature > 0.0 ? squares / curvature : 4.0 * step_;
  std::swap(at_, trial_);
  if (accepted_ == 0 || at_.log_prob > best_.log_prob) best_ = at_;
  recent_[static_cast<std::size_t>(accepted_++ % kMemory)] = at_.log_prob;
}

void Climb::Propose() {
  double steepest = 0.0;
  for (const int i : columns_) steepest = std::max(steepest, std::abs(double{at_.gradient[i]}));
  done_ = converged_ = steepest <= kFlat && std::isfinite(at_.log_prob);
  if (steepest == 0.0) done_ = true;
  if (done_) return;
  step_ = std::min(step_, kLongest / steepest);
  bool moves = false;
  rise_ = 0.0;
  trial_.x = at_.x;
  for (const int i : columns_) {
    const double move = step_ * at_.gradient[i];
    moves = moves || std::abs(move) > kShortest * std::max(1.0, std::abs(double{at_.x[i]}));
    rise_ += move * at_.gradient[i];
    trial_.x[i] = static_cast<float>(at_.x[i] + move);
  }
  if (!moves) done_ = converged_ = true;
}

absl::Status RunClimbs(const CompletionInput& input, std::span<Climb> climbs, int evaluations,
                       const std::stop_token& stop) {
  std::vector<FlowPoint*> wanted;
  while (true) {
    wanted.clear();
    for (Climb& climb : climbs) {
      if (climb.evaluations() >= evaluations) climb.Stop();
      if (!climb.done()) wanted.push_back(&climb.wanted());
    }
    if (wanted.empty()) return absl::OkStatus();
    MILLRACE_RETURN_IF_ERROR(Evaluate(input, wanted, stop));
    for (Climb& climb : climbs)
      if (!climb.done()) climb.Take();
  }
}

}  // namespace millrace
