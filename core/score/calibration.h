// SPDX-License-Identifier: Apache-2.0
// How unlikely a log-density is among those of the calibration rows. Pure functions; `log_probs`
// ascends and holds no NaN.
#ifndef MILLRACE_CORE_SCORE_CALIBRATION_H_
#define MILLRACE_CORE_SCORE_CALIBRATION_H_

#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace millrace {

// (1 + #{calibration log p <= log_prob}) / (n + 1), in [1 / (n + 1), 1]: for a row drawn as the
// calibration rows were, the chance of one at least as unlikely (a conformal p-value; Vovk et al.
// 2005). A NaN is as unlikely as can be.
double TailProbability(std::span<const double> log_probs, double log_prob);

// FAILED_PRECONDITION without calibration rows or below 1 / (n + 1), the smallest rate they
// resolve; INVALID_ARGUMENT outside (0, 1).
absl::Status CheckRate(std::span<const double> log_probs, double rate);

// The log-density t for which TailProbability(x) <= rate exactly where x < t: the smallest of the
// calibration rows that are not anomalies themselves. The rate has passed CheckRate.
double Threshold(std::span<const double> log_probs, double rate);

// What a false-positive rate makes of log-densities. A view: the calibration rows outlive it.
class AnomalyRule {
 public:
  // As CheckRate.
  static absl::StatusOr<AnomalyRule> Create(std::span<const double> log_probs, double rate);

  double false_positive_rate() const { return rate_; }
  double threshold() const { return threshold_; }

  // One of each a row; rows out of support count as NaN.
  void Apply(std::span<const double> log_prob, std::span<const std::uint8_t> out_of_support,
             std::span<double> tail_probability, std::span<std::uint8_t> is_anomaly) const;

 private:
  AnomalyRule(std::span<const double> log_probs, double rate)
      : log_probs_(log_probs), rate_(rate), threshold_(Threshold(log_probs, rate)) {}

  std::span<const double> log_probs_;
  double rate_;
  double threshold_;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_SCORE_CALIBRATION_H_
