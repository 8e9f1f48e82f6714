// SPDX-License-Identifier: Apache-2.0
#include "core/score/markov_chain.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/math/normal.h"
#include "core/math/uniform.h"

namespace millrace {
namespace {

// Streams of core/math/uniform.h under a chain's own seed.
constexpr std::uint32_t kAcceptStream = 1;
constexpr std::uint32_t kJumpStream = 2;

constexpr double kSteepest = 10.0;         // drift beyond is cut (Roberts, Tweedie 1996), in scales
constexpr double kBestAcceptance = 0.574;  // of Langevin steps (Roberts, Rosenthal 1998)
constexpr double kShortestLength = 1e-4;
constexpr double kLongestLength = 3.0;
constexpr double kBinStep = 0.4;  // of a bin, at the length 1; at most a standardised unit

std::vector<double> NormalsAt(std::uint64_t seed, int step, std::size_t count) {
  std::vector<double> normals(count);
  for (std::size_t i = 0; i < count; i += 2) {
    const auto words =
        NormalWords(seed, static_cast<std::uint64_t>(step), static_cast<std::uint32_t>(i / 4));
    const std::size_t w = i % 4;
    const auto [first, second] = BoxMuller<double>(words[w], words[w + 1]);
    normals[i] = first;
    if (i + 1 < count) normals[i + 1] = second;
  }
  return normals;
}

// What goes beyond an end of the bin comes back.
float Reflect(double x, const KnownBin& bin) {
  const double width = bin.high - bin.low;
  if (!(width > 0.0)) return static_cast<float>(bin.low);
  double along = std::fmod(std::abs(x - bin.low), 2.0 * width);
  if (along > width) along = 2.0 * width - along;
  return static_cast<float>(bin.low + along);
}

}  // namespace

MarkovChain::MarkovChain(const ChainSpace& space, std::uint64_t seed, std::span<const float> start)
    : space_(space), seed_(seed) {
  trial_.context = space.row.context;
  trial_.x = space.row.centre;
  for (const int i : space.row.missing) trial_.x[i] = StartAt(start[i]);
  at_ = trial_;
}

void MarkovChain::Begin() { std::swap(at_, trial_); }

double MarkovChain::Drift(const FlowPoint& from, std::size_t m) const {
  const double scale = space_.scales[m];
  const double slope = from.gradient[space_.row.missing[m]] * scale;
  return 0.5 * length_ * length_ * scale * std::clamp(slope, -kSteepest, kSteepest);
}

double MarkovChain::LogStep(const FlowPoint& from, const FlowPoint& to) const {
  double squares = 0.0;
  for (std::size_t m = 0; m < space_.row.missing.size(); ++m) {
    const int i = space_.row.missing[m];
    const double d = (to.x[i] - (from.x[i] + Drift(from, m))) / (length_ * space_.scales[m]);
    squares += d * d;
  }
  return -0.5 * squares;
}

double MarkovChain::LogJump(const FlowPoint& to) const {
  std::vector<double> x;
  x.reserve(space_.row.missing.size());
  for (const int i : space_.row.missing) x.push_back(to.x[i]);
  return space_.jumps.LogDensity(x);
}

void MarkovChain::Propose(int step, Step kind) {
  const std::vector<int>& missing = space_.row.missing;
  const std::vector<KnownBin>& bins = space_.row.bins;
  const std::vector<double> normals = NormalsAt(seed_, step, missing.size() + bins.size());
  ++proposed_[Index(kind)];
  trial_.x = at_.x;
  if (kind == Step::kJump) {
    std::vector<double> x(missing.size());
    space_.jumps.Draw(UniformAt(seed_, kJumpStream, static_cast<std::uint64_t>(step), 0),
                      UniformAt(seed_, kJumpStream, static_cast<std::uint64_t>(step), 1), normals,
                      x);
    for (std::size_t m = 0; m < missing.size(); ++m)
      trial_.x[missing[m]] = static_cast<float>(x[m]);
    return;
  }
  for (std::size_t m = 0; m < missing.size(); ++m) {
    const double noise = length_ * space_.scales[m] * normals[m];
    trial_.x[missing[m]] = static_cast<float>(at_.x[missing[m]] + Drift(at_, m) + noise);
  }
  for (std::size_t b = 0; b < bins.size(); ++b) {
    const double width = std::min(kBinStep * (bins[b].high - bins[b].low), 1.0);
    trial_.x[bins[b].column] =
        Reflect(at_.x[bins[b].column] + length_ * width * normals[missing.size() + b], bins[b]);
  }
}

void MarkovChain::Decide(int step, Step kind, double gain) {
  double log_ratio = trial_.log_prob - at_.log_prob;
  if (kind == Step::kLangevin) {
    log_ratio += LogStep(trial_, at_) - LogStep(at_, trial_);
  } else {
    log_ratio += LogJump(at_) - LogJump(trial_);
  }
  // From where there is no density, any that is some will do.
  if (!std::isfinite(at_.log_prob)) log_ratio = 0.0;
  if (!std::isfinite(trial_.log_prob) || std::isnan(log_ratio))
    log_ratio = -std::numeric_limits<double>::infinity();
  const double chance = std::exp(std::min(log_ratio, 0.0));
  if (kind == Step::kLangevin && gain > 0.0)
    length_ = std::clamp(length_ * std::exp(gain * (chance - kBestAcceptance)), kShortestLength,
                         kLongestLength);
  if (UniformAt(seed_, kAcceptStream, static_cast<std::uint64_t>(step), 0) >= chance) return;
  ++accepted_[Index(kind)];
  std::swap(at_, trial_);
}

absl::Status EvaluateChains(const CompletionInput& input, std::span<MarkovChain> chains,
                            const std::stop_token& stop) {
  std::vector<FlowPoint*> wanted;
  wanted.reserve(chains.size());
  for (MarkovChain& chain : chains) wanted.push_back(&chain.wanted());
  return Evaluate(input, wanted, stop);
}

}  // namespace millrace
