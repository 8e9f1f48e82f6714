// SPDX-License-Identifier: Apache-2.0
#include "core/score/calibration.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"

namespace millrace {
namespace {

constexpr char kField[] = "false_positive_rate";

double Share(std::size_t at_most, std::size_t rows) {
  return (1.0 + static_cast<double>(at_most)) / (static_cast<double>(rows) + 1.0);
}

}  // namespace

double TailProbability(std::span<const double> log_probs, double log_prob) {
  if (std::isnan(log_prob)) return Share(0, log_probs.size());
  const auto after = std::upper_bound(log_probs.begin(), log_probs.end(), log_prob);
  return Share(static_cast<std::size_t>(after - log_probs.begin()), log_probs.size());
}

absl::Status CheckRate(std::span<const double> log_probs, double rate) {
  if (!(rate > 0.0 && rate < 1.0))
    return InvalidArgument(kField, absl::StrCat(rate), "a number between 0 and 1, both excluded");
  if (log_probs.empty())
    return MakeError(absl::StatusCode::kFailedPrecondition,
                     {.field = kField,
                      .row = std::nullopt,
                      .column = std::nullopt,
                      .value = "a model without calibration rows",
                      .expected = "a model trained with them"});
  if (rate >= Share(0, log_probs.size())) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   {.field = kField,
                    .row = std::nullopt,
                    .column = std::nullopt,
                    .value = absl::StrCat(rate),
                    .expected = absl::StrCat("at least ", Share(0, log_probs.size()), ", what ",
                                             log_probs.size(), " calibration rows resolve")});
}

double Threshold(std::span<const double> log_probs, double rate) {
  // With `at_most` calibration rows at or below it, a row is an anomaly while Share(at_most) <=
  // rate.
  const auto first_ordinary =
      std::partition_point(log_probs.begin(), log_probs.end(), [&](const double& log_prob) {
        return Share(static_cast<std::size_t>(&log_prob - log_probs.data()) + 1,
                     log_probs.size()) <= rate;
      });
  return first_ordinary == log_probs.end() ? std::numeric_limits<double>::infinity()
                                           : *first_ordinary;
}

absl::StatusOr<AnomalyRule> AnomalyRule::Create(std::span<const double> log_probs, double rate) {
  MILLRACE_RETURN_IF_ERROR(CheckRate(log_probs, rate));
  return AnomalyRule(log_probs, rate);
}

void AnomalyRule::Apply(std::span<const double> log_prob,
                        std::span<const std::uint8_t> out_of_support,
                        std::span<double> tail_probability,
                        std::span<std::uint8_t> is_anomaly) const {
  for (std::size_t r = 0; r < log_prob.size(); ++r) {
    tail_probability[r] = TailProbability(
        log_probs_, out_of_support[r] ? std::numeric_limits<double>::quiet_NaN() : log_prob[r]);
    is_anomaly[r] = tail_probability[r] <= rate_ ? 1 : 0;
  }
}

}  // namespace millrace
