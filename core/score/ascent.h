// SPDX-License-Identifier: Apache-2.0
// Climbs to a local maximum of a flow's density.
#ifndef MILLRACE_CORE_SCORE_ASCENT_H_
#define MILLRACE_CORE_SCORE_ASCENT_H_

#include <array>
#include <span>
#include <utility>
#include <vector>

#include "core/score/incomplete_rows.h"

namespace millrace {

// One climb over some of a point's columns. Spectral gradient ascent (Raydan 1997): the step is
// that of Barzilai and Borwein (1988), shortened where the density falls below the lowest of the
// last few. It rests where the gradient or the step it would take is next to nothing; the density's
// kinks are such places too.
class Climb {
 public:
  // `columns` outlive the climb.
  Climb(FlowPoint start, std::span<const int> columns)
      : columns_(columns), best_(start), at_(start), trial_(std::move(start)) {}

  // Where the density is wanted next; valid until Take. Not once it is done.
  FlowPoint& wanted() { return trial_; }
  // wanted() was evaluated.
  void Take();
  bool done() const { return done_; }
  void Stop() { done_ = true; }

  bool converged() const { return converged_; }
  int evaluations() const { return evaluations_; }
  const FlowPoint& best() const { return best_; }

 private:
  static constexpr int kMemory = 5;  // densities the next one may fall among

  void Accept();
  void Propose();

  std::span<const int> columns_;
  FlowPoint best_, at_, trial_;
  std::array<double, kMemory> recent_ = {};
  double step_ = 1.0;
  double rise_ = 0.0;  // of the step to trial_, by the gradient
  int accepted_ = 0;
  int evaluations_ = 0;
  bool done_ = false;
  bool converged_ = false;
};

// Runs all climbs to their end, or `evaluations` each, all that go on in one batch at a time.
absl::Status RunClimbs(const CompletionInput& input, std::span<Climb> climbs, int evaluations,
                       const std::stop_token& stop);

}  // namespace millrace

#endif  // MILLRACE_CORE_SCORE_ASCENT_H_
