// SPDX-License-Identifier: Apache-2.0
// How unlikely a log-density is among those of the calibration rows. Pure functions; `log_probs`
// ascends and holds no NaN.
#ifndef MILLRACE_CORE_SCORE_CALIBRATION_H_
#define MILLRACE_CORE_SCORE_CALIBRATION_H_

#include <span>

#include "absl/status/status.h"

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

}  // namespace millrace

#endif  // MILLRACE_CORE_SCORE_CALIBRATION_H_
