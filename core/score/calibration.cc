// SPDX-License-Identifier: Apache-2.0
#include "core/score/calibration.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"

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

}  // namespace millrace
