// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
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
constexpr double kWalkerGain = 0.6;        // of explorers' step lengths
constexpr int kOftenJumps = 2;             // steps from jump to jump;
constexpr int kRareJumps = 16;             // where they are hardly ever accepted
constexpr double kWorthJumping = 0.02;     // share that is accepted
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

// kWalkers explorers a row, row after row, at samples of the model. `spaces` outlive them.
absl::StatusOr<std::vector<MarkovChain>> SendWalkers(const CompletionCall& call,
                                                     std::span<const ChainSpace> spaces) {
  std::vector<SampleKey> keys;
  std::vector<std::span<const float>> contexts;
  for (const ChainSpace& space : spaces)
    for (int w = 0; w < kWalkers; ++w) {
      keys.push_back({SeedOf(call.options, DrawPurpose::kStart, space.row.row, w), 0, 1.0});
      contexts.push_back(space.row.context);
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
  return walkers;
}

// Makes the scales and the jumps of a row's chains of what its explorers meet.
absl::StatusOr<std::vector<ChainSpace>> Explore(const CompletionCall& call,
                                                std::vector<IncompleteRow> rows) {
  std::vector<ChainSpace> spaces;
  std::vector<SlopeMeter> meters;
  spaces.reserve(rows.size());
  for (IncompleteRow& row : rows) {
    spaces.push_back({.row = std::move(row)});
    spaces.back().scales.assign(spaces.back().row.missing.size(), 1.0);
    meters.emplace_back(spaces.back().row);
  }
  MILLRACE_ASSIGN_OR_RETURN(std::vector<MarkovChain> walkers, SendWalkers(call, spaces));
  for (int step = 0; step < kWalkerSteps; ++step) {
    for (MarkovChain& walker : walkers) walker.Propose(step, Step::kLangevin);
    MILLRACE_RETURN_IF_ERROR(EvaluateChains(call.input, walkers, call.stop));
    for (std::size_t w = 0; w < walkers.size(); ++w) {
      walkers[w].Decide(step, Step::kLangevin, kWalkerGain);
      if (step >= kWalkerSteps / 2) meters[w / kWalkers].Add(walkers[w].at());
    }
  }
  for (std::size_t r = 0; r < spaces.size(); ++r)
    Learn(std::span(walkers).subspan(r * kWalkers, kWalkers), meters[r], spaces[r]);
  return spaces;
}

// Runs chains to their end; the step lengths and how often to jump are settled half way.
absl::Status Run(const CompletionCall& call, std::span<MarkovChain> chains) {
  MILLRACE_RETURN_IF_ERROR(EvaluateChains(call.input, chains, call.stop));
  for (MarkovChain& chain : chains) chain.Begin();
  std::vector<int> jump_every(chains.size(), kOftenJumps);
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
      if (static_cast<double>(chains[c].accepted(Step::kJump)) <
          kWorthJumping * static_cast<double>(chains[c].proposed(Step::kJump)))
        jump_every[c] = kRareJumps;
      chains[c].ResetCounts();
    }
  }
  return absl::OkStatus();
}

// Draws [first, first + count) of those of all spaces, space after space.
absl::Status RunSlice(const CompletionCall& call, std::span<const ChainSpace> spaces,
                      std::int64_t first, std::int64_t count) {
  std::vector<MarkovChain> chains;
  for (std::int64_t c = first; c < first + count; ++c) {
    const ChainSpace& space = spaces[static_cast<std::size_t>(c / call.draws())];
    const std::uint64_t seed = SeedOf(call.options, DrawPurpose::kChain, space.row.row,
                                      static_cast<std::uint32_t>(c % call.draws()));
    chains.push_back(StartChain(space, seed));
  }
  MILLRACE_RETURN_IF_ERROR(Run(call, chains));
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
        for (std::int64_t k = 0; k < count; ++k) {
          const std::span<const float> point = points.view().row(k);
          if (!std::ranges::all_of(point, [](float v) { return std::isfinite(v); }))
            return absl::FailedPreconditionError(
                absl::StrCat("completion ", first + k, " of row ", row.row,
                             ", a sample of the model, overflows single precision"));
          WriteMissing(call.input.columns, point, call.Out(row.row, first + k));
        }
        return absl::OkStatus();
      });
}

}  // namespace millrace
