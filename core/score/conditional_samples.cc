// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "core/base/status_macros.h"
#include "core/math/uniform.h"
#include "core/score/completion_paths.h"
#include "core/score/markov_chain.h"
#include "core/score/point_mixture.h"
#include "core/score/slices.h"

namespace millrace {
namespace {

using Step = MarkovChain::Step;

constexpr double kMeanOfNormal = 0.7979;  // of |x|, x standard normal
constexpr double kSmallestScale = 1e-4;   // of a column, standardised units
constexpr double kLargestScale = 3.0;
constexpr int kRareJumps = 16;             // steps between jumps that are hardly ever accepted
constexpr std::uint32_t kStartStream = 3;  // of core/math/uniform.h, under a chain's own seed

// The size of the gradients that the explorers of a row meet, column by column.
class SlopeMeter {
 public:
  explicit SlopeMeter(const IncompleteRow& row) : row_(row), sums_(row.missing.size()) {}

  void Add(const FlowPoint& point) {
    for (std::size_t m = 0; m < sums_.size(); ++m)
      sums_[m] += std::abs(point.gradient[row_.missing[m]]);
    ++count_;
  }
  // Of a normal distribution, the deviation of each column under the others.
  std::vector<double> Scales() const {
    std::vector<double> scales;
    for (const double sum : sums_)
      scales.push_back(std::clamp(kMeanOfNormal * count_ / sum, kSmallestScale, kLargestScale));
    return scales;
  }

 private:
  const IncompleteRow& row_;
  std::vector<double> sums_;
  double count_ = 0.0;
};

void Learn(std::span<const MarkovChain> walkers, const SlopeMeter& meter, ChainSpace& space) {
  std::vector<double> points, log_density;
  for (const MarkovChain& walker : walkers) {
    for (const int i : space.row.missing) points.push_back(walker.at().x[i]);
    log_density.push_back(walker.at().log_prob);
  }
  space.scales = meter.Scales();
  space.jumps = PointMixture(std::move(points), log_density, space.scales);
}

MarkovChain StartChain(const ChainSpace& space, std::uint64_t seed) {
  const std::size_t chosen = space.jumps.Choose(UniformAt(seed, kStartStream, 0, 0));
  std::vector<float> start = space.row.centre;
  for (std::size_t m = 0; m < space.row.missing.size(); ++m)
    start[space.row.missing[m]] = static_cast<float>(space.jumps.point(chosen)[m]);
  MarkovChain chain(space, seed, start);
  const auto columns = static_cast<double>(space.row.missing.size() + space.row.bins.size());
  chain.set_step_length(1.2 * std::pow(columns, -1.0 / 6.0));
  return chain;
}

// Lets kWalkers explorers a row walk from samples of the model, and makes of what they met the
// scales and the jumps of its chains.
absl::StatusOr<std::vector<ChainSpace>> Explore(const CompletionCall& call,
                                                std::vector<IncompleteRow> rows) {
  std::vector<ChainSpace> spaces;
  std::vector<SampleKey> keys;
  std::vector<std::span<const float>> contexts;
  spaces.reserve(rows.size());
  for (IncompleteRow& row : rows) {
    const std::size_t missing = row.missing.size();
    spaces.push_back({.row = std::move(row)});
    spaces.back().scales.assign(missing, 1.0);
    for (int w = 0; w < kWalkers; ++w) {
      keys.push_back({SeedOf(call.options, DrawPurpose::kStart, spaces.back().row.row, w), 0, 1.0});
      contexts.push_back(spaces.back().row.context);
    }
  }
  MILLRACE_ASSIGN_OR_RETURN(const Rows<float> starts,
                            DrawPoints(call.input, keys, contexts, call.stop));
  std::vector<MarkovChain> walkers;
  for (std::size_t w = 0; w < keys.size(); ++w) {
    const ChainSpace& space = spaces[w / kWalkers];
    walkers.emplace_back(space,
                         SeedOf(call.options, DrawPurpose::kWalker, space.row.row, w % kWalkers),
                         starts.view().row(static_cast<std::int64_t>(w)));
  }
  MILLRACE_RETURN_IF_ERROR(EvaluateChains(call.input, walkers, call.stop));
  for (MarkovChain& walker : walkers) walker.Begin();
  std::vector<SlopeMeter> meters;
  for (const ChainSpace& space : spaces) meters.emplace_back(space.row);
  for (int step = 0; step < kWalkerSteps; ++step) {
    for (MarkovChain& walker : walkers) walker.Propose(step, MarkovChain::Step::kLangevin);
    MILLRACE_RETURN_IF_ERROR(EvaluateChains(call.input, walkers, call.stop));
    for (std::size_t w = 0; w < walkers.size(); ++w) {
      walkers[w].Decide(step, MarkovChain::Step::kLangevin, 0.6);
      if (step >= kWalkerSteps / 2) meters[w / kWalkers].Add(walkers[w].at());
    }
  }
  for (std::size_t r = 0; r < spaces.size(); ++r)
    Learn(std::span(walkers).subspan(r * kWalkers, kWalkers), meters[r], spaces[r]);
  return spaces;
}

absl::Status RunSlice(const CompletionCall& call, std::span<const ChainSpace> spaces,
                      std::int64_t first, std::int64_t count) {
  std::vector<MarkovChain> chains;
  std::vector<int> jump_every(static_cast<std::size_t>(count), 2);
  for (std::int64_t c = first; c < first + count; ++c) {
    const ChainSpace& space = spaces[static_cast<std::size_t>(c / call.draws())];
    const std::uint64_t seed = SeedOf(call.options, DrawPurpose::kChain, space.row.row,
                                      static_cast<std::uint32_t>(c % call.draws()));
    chains.push_back(StartChain(space, seed));
  }
  MILLRACE_RETURN_IF_ERROR(EvaluateChains(call.input, chains, call.stop));
  for (MarkovChain& chain : chains) chain.Begin();
  const int settled = call.options.steps / 2;
  for (int step = 0; step < call.options.steps; ++step) {
    const auto kind = [&](std::size_t c) {
      return step % jump_every[c] == 0 ? Step::kJump : Step::kLangevin;
    };
    for (std::size_t c = 0; c < chains.size(); ++c) chains[c].Propose(step, kind(c));
    MILLRACE_RETURN_IF_ERROR(EvaluateChains(call.input, chains, call.stop));
    const double gain = step < settled ? 2.0 / std::sqrt(step + 4.0) : 0.0;
    for (std::size_t c = 0; c < chains.size(); ++c) chains[c].Decide(step, kind(c), gain);
    if (step + 1 != settled) continue;
    for (std::size_t c = 0; c < chains.size(); ++c) {
      if (50 * chains[c].accepted(Step::kJump) < chains[c].proposed(Step::kJump))
        jump_every[c] = kRareJumps;
      chains[c].ResetCounts();
    }
  }
  for (std::int64_t c = 0; c < count; ++c) {
    const MarkovChain& chain = chains[static_cast<std::size_t>(c)];
    const ChainSpace& space = spaces[static_cast<std::size_t>((first + c) / call.draws())];
    const std::int64_t place = call.Place(space.row.row, (first + c) % call.draws());
    WriteMissing(call.input.columns, chain.at().x, call.done.rows.view().row(place));
    call.done.acceptance[static_cast<std::size_t>(place)] = chain.Acceptance();
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RunChains(const CompletionCall& call, std::vector<IncompleteRow> rows) {
  MILLRACE_ASSIGN_OR_RETURN(const std::vector<ChainSpace> spaces, Explore(call, std::move(rows)));
  return InSlices(
      std::ssize(spaces) * call.draws(), FloatsOfPoint(call.input),
      [&](std::int64_t first, std::int64_t count) { return RunSlice(call, spaces, first, count); });
}

absl::Status DrawSamples(const CompletionCall& call, const IncompleteRow& row) {
  return InSlices(
      call.draws(), FloatsOfPoint(call.input), [&](std::int64_t first, std::int64_t count) {
        std::vector<SampleKey> keys;
        for (std::int64_t k = first; k < first + count; ++k)
          keys.push_back(
              {SeedOf(call.options, DrawPurpose::kSample, row.row, static_cast<std::uint32_t>(k)),
               0, 1.0});
        const std::vector<std::span<const float>> contexts(keys.size(), row.context);
        MILLRACE_ASSIGN_OR_RETURN(const Rows<float> points,
                                  DrawPoints(call.input, keys, contexts, call.stop));
        for (std::int64_t k = 0; k < count; ++k)
          WriteMissing(call.input.columns, points.view().row(k),
                       call.Out(row.row, static_cast<int>(first + k)));
        return absl::OkStatus();
      });
}

}  // namespace millrace
