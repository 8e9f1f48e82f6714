// SPDX-License-Identifier: Apache-2.0
// Markov chains over the missing values of a row, whose stationary distribution is
// p(missing | known) of a flow.
#ifndef MILLRACE_CORE_SCORE_MARKOV_CHAIN_H_
#define MILLRACE_CORE_SCORE_MARKOV_CHAIN_H_

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "core/score/incomplete_rows.h"
#include "core/score/point_mixture.h"

namespace millrace {

// What the chains of a row share.
struct ChainSpace {
  IncompleteRow row = {};
  std::vector<double> scales = {};  // [missing] of Langevin steps
  PointMixture jumps = {};          // over the missing columns; unused by explorers
};

// The state is where the missing columns stand, in standardised units, and where in its bin each
// known one does; its density is the flow's. Within bins go random walks that are reflected at the
// ends, which are symmetric.
class MarkovChain {
 public:
  enum class Step { kLangevin, kJump };

  // `space` outlives the chain. Missing columns start where they stand in `start`. Its random
  // numbers depend on (seed, step) alone.
  MarkovChain(const ChainSpace& space, std::uint64_t seed, std::span<const float> start);

  // Where the density is wanted: first at the start, then at each proposal.
  FlowPoint& wanted() { return trial_; }
  void Begin();  // wanted() was evaluated at the start
  // One step: Propose, evaluate wanted(), Decide. The step length of Langevin steps moves by `gain`
  // times what it is off in logarithms; 0 fixes it.
  void Propose(int step, Step kind);
  void Decide(int step, Step kind, double gain);

  const FlowPoint& at() const { return at_; }
  double step_length() const { return length_; }
  void set_step_length(double length) { length_ = length; }
  // Since ResetCounts.
  std::int64_t proposed(Step kind) const { return proposed_[Index(kind)]; }
  std::int64_t accepted(Step kind) const { return accepted_[Index(kind)]; }
  double Acceptance() const {
    const auto steps = static_cast<double>(proposed_[0] + proposed_[1]);
    return steps > 0.0 ? static_cast<double>(accepted_[0] + accepted_[1]) / steps : 1.0;
  }
  void ResetCounts() { proposed_ = accepted_ = {}; }

 private:
  static std::size_t Index(Step kind) { return static_cast<std::size_t>(kind); }
  double Drift(const FlowPoint& from, std::size_t m) const;
  // log q(to | from) of a Langevin step's missing columns, up to what is the same both ways.
  double LogStep(const FlowPoint& from, const FlowPoint& to) const;
  double LogJump(const FlowPoint& to) const;

  const ChainSpace& space_;
  std::uint64_t seed_;
  FlowPoint at_, trial_;
  double length_ = 0.5;
  std::array<std::int64_t, 2> proposed_ = {}, accepted_ = {};
};

// Evaluates what all chains want.
absl::Status EvaluateChains(const CompletionInput& input, std::span<MarkovChain> chains,
                            const std::stop_token& stop);

}  // namespace millrace

#endif  // MILLRACE_CORE_SCORE_MARKOV_CHAIN_H_
