// SPDX-License-Identifier: Apache-2.0
#include "core/train/fit_target.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/score/density.h"
#include "core/train/importance.h"
#include "core/train/nats.h"

namespace millrace {
namespace {

constexpr int kSamples = 20000;
// Numbers of a batch, of which a step holds several copies, and of all samples that are drawn after
// the fit, of which only a batch is held at a time.
constexpr std::int64_t kMostBatchNumbers = std::int64_t{1} << 25;
constexpr std::int64_t kMostSampleNumbers = std::int64_t{1} << 28;
constexpr double kDefaultFalsePositiveRate = 0.01;
// Below it a person is warned.
constexpr double kFewEffectiveSamples = 0.1;
// Random streams of one fit, told apart by their seeds.
enum Purpose : std::uint64_t { kPoints = 11, kComparison };

std::uint64_t SeedFor(std::uint64_t seed, Purpose purpose) {
  return seed * 0x9E3779B97F4A7C15u + purpose;
}

ReverseKlOptions ChooseOptions(const FitDensityOptions& from) {
  ReverseKlOptions to;
  to.batch_size = from.batch_size.value_or(to.batch_size);
  to.steps = from.steps.value_or(to.steps);
  to.max_duration = from.max_duration.value_or(to.max_duration);
  to.learning_rate = from.learning_rate.value_or(to.learning_rate);
  to.schedule = from.schedule;
  to.warmup_steps = from.warmup_steps.value_or(std::min<std::int64_t>(100, to.steps / 10));
  to.annealing_steps = from.annealing_steps.value_or(to.steps / 4);
  to.ema_decay = from.ema_decay.value_or(0.998);
  to.gradient_clip_norm = from.gradient_clip_norm.value_or(5.0);
  to.seed = SeedFor(from.seed, kPoints);
  return to;
}

// One fit, its model growing.
class Fitting {
 public:
  Fitting(Model model, const TargetFit& fit, Backend& backend, std::stop_token stop)
      : model_(std::make_shared<Model>(std::move(model))),
        fit_(fit),
        options_(ChooseOptions(fit.options)),
        samples_(fit.options.samples.value_or(kSamples)),
        backend_(backend),
        stop_(std::move(stop)) {}

  absl::StatusOr<Model> Run(const ProgressCallback& progress) {
    MILLRACE_RETURN_IF_ERROR(CheckSizes());
    MILLRACE_RETURN_IF_ERROR(CheckSampleGradient(model_->spec.base));
    MILLRACE_ASSIGN_OR_RETURN(const std::shared_ptr<const Flow> flow, Flow::Create(model_->spec));
    MILLRACE_RETURN_IF_ERROR(Optimise(flow, progress));
    MILLRACE_RETURN_IF_ERROR(CompareWithTarget(flow));
    MILLRACE_RETURN_IF_ERROR(Calibrate());
    model_->create_time_unix_micros = absl::ToUnixMicros(absl::Now());
    return std::move(*model_);
  }

 private:
  absl::Status CheckSizes() const {
    const std::int64_t columns = model_->spec.dim;
    const auto check = [&](const char* field, std::int64_t points, std::int64_t most) {
      if (points * columns <= most) return absl::OkStatus();
      return MakeError(
          absl::StatusCode::kResourceExhausted,
          {.field = field,
           .value = absl::StrCat(points, " points of ", columns, " columns"),
           .expected = absl::StrCat("at most ", most / columns, " points of as many columns")});
    };
    MILLRACE_RETURN_IF_ERROR(check("options.batch_size", options_.batch_size, kMostBatchNumbers));
    return check("options.samples", samples_, kMostSampleNumbers);
  }

  absl::Status Optimise(const std::shared_ptr<const Flow>& flow, const ProgressCallback& progress) {
    TrainState start;
    start.parameters = std::move(model_->parameters);
    MILLRACE_ASSIGN_OR_RETURN(const std::unique_ptr<TrainSession> session,
                              backend_.StartTraining(flow, start));
    MILLRACE_ASSIGN_OR_RETURN(
        ReverseKlResult result,
        FitByReverseKl(*session, flow->dim(), fit_.target, options_, progress, stop_));
    TrainingReport& report = model_->report;
    report.log_unit = model_->columns.log_unit();
    report.epochs = report.best_epoch =
        (result.steps + ReverseKlOptions::kStepsPerRound - 1) / ReverseKlOptions::kStepsPerRound;
    report.steps = result.steps;
    report.seconds = result.seconds;
    report.divergences = result.divergences;
    report.stop_reason = result.stop_reason;
    if (result.divergences > 0)
      report.warnings.push_back(absl::StrCat("the fit diverged ", result.divergences,
                                             " times and went on with a lower learning rate"));
    for (const auto& transform : flow->transforms())
      transform->ConstrainByBound(result.parameters.span());
    model_->parameters = std::move(result.parameters);
    return absl::OkStatus();
  }

  // By samples that the fit has not seen.
  absl::Status CompareWithTarget(const std::shared_ptr<const Flow>& flow) {
    MILLRACE_ASSIGN_OR_RETURN(const std::shared_ptr<const DeviceWeights> weights,
                              backend_.Upload(flow, model_->parameters.span()));
    std::vector<double> log_q(static_cast<std::size_t>(samples_)), log_p(log_q.size());
    for (int first = 0; first < samples_; first += options_.batch_size) {
      const int count = std::min(options_.batch_size, samples_ - first);
      Rows<float> x(count, flow->dim()), unused(count, flow->dim());
      const auto of_these = [&](std::vector<double>& all) {
        return std::span(all).subspan(static_cast<std::size_t>(first),
                                      static_cast<std::size_t>(count));
      };
      MILLRACE_RETURN_IF_ERROR(backend_.Sample(*weights, ComparisonSeed(),
                                               static_cast<std::uint64_t>(first), 1.0, {}, x.view(),
                                               of_these(log_q), stop_));
      const auto finite = [](auto v) { return std::isfinite(v); };
      if (!std::all_of(x.data(), x.data() + x.rows() * x.cols(), finite) ||
          !std::ranges::all_of(of_these(log_q), finite))
        return absl::FailedPreconditionError(
            "samples of the fitted model overflow single precision; lower learning_rate, or look "
            "for places where the density does not fall off");
      MILLRACE_RETURN_IF_ERROR(fit_.target.Evaluate(x.view(), of_these(log_p), unused.view()));
      MILLRACE_RETURN_IF_ERROR(CheckDensities(x.view(), of_these(log_p), first));
    }
    if (std::ranges::none_of(log_p, [](double v) { return std::isfinite(v); }))
      return absl::FailedPreconditionError(
          absl::StrCat("the density is 0 at all ", samples_, " samples of the fitted model"));
    const DensityFit compared = Compare(log_q, log_p, fit_.normalised);
    for (const double figure : {compared.log_normaliser, compared.divergence,
                                compared.divergence_error, compared.log_normaliser_error})
      if (!std::isfinite(figure))
        return absl::FailedPreconditionError(absl::StrCat(
            "the density at samples of the fitted model goes from ",
            *std::ranges::min_element(log_p), " to ", *std::ranges::max_element(log_p),
            " nats, too far apart to compare with the model; fit for more steps, or give columns "
            "whose locations and scales are those of the density"));
    model_->report.density_fit = compared;
    Warn(*model_->report.density_fit);
    return absl::OkStatus();
  }

  // Samples from `first` on, standardised; a density is a number, or -infinity.
  static absl::Status CheckDensities(RowsView<const float> x, std::span<const double> log_p,
                                     std::int64_t first) {
    for (std::int64_t r = 0; r < x.rows; ++r) {
      if (log_p[r] < std::numeric_limits<double>::infinity()) continue;
      return MakeError(absl::StatusCode::kInvalidArgument,
                       {.field = "log_density",
                        .row = first + r,
                        .value = absl::StrCat(log_p[r], " at the standardised point (",
                                              absl::StrJoin(x.row(r), ", "), ")"),
                        .expected = "a number, or -inf where the density is 0"});
    }
    return absl::OkStatus();
  }

  void Warn(const DensityFit& fit) {
    std::vector<std::string>& warnings = model_->report.warnings;
    if (fit.effective_sample_fraction < kFewEffectiveSamples)
      warnings.push_back(
          absl::StrCat("the model is far from the density: its weighted samples are worth ",
                       fit.effective_sample_fraction,
                       " of as many from the density; fit for more steps or by a larger flow"));
    if (fit.outside_fraction > 0.0)
      warnings.push_back(absl::StrCat("the density is 0 at ", fit.outside_fraction,
                                      " of the model's samples; points there teach the model "
                                      "nothing"));
  }

  absl::Status Calibrate() {
    MILLRACE_ASSIGN_OR_RETURN(const std::unique_ptr<const Density> density,
                              Density::Create(model_, backend_));
    std::vector<double> log_probs;
    for (int first = 0; first < samples_; first += options_.batch_size) {
      MILLRACE_ASSIGN_OR_RETURN(
          const Rows<double> rows,
          density->Sample(ComparisonSeed(), static_cast<std::uint64_t>(first),
                          std::min(options_.batch_size, samples_ - first), 1.0, stop_));
      MILLRACE_ASSIGN_OR_RETURN(const LogProbResult result, density->LogProb(rows.view(), stop_));
      log_probs.insert(log_probs.end(), result.log_prob.begin(), result.log_prob.end());
    }
    model_->report.held_out = NatsOf(log_probs, model_->report.log_unit);
    std::ranges::sort(log_probs);
    model_->calibration = {.log_probs = std::move(log_probs),
                           .false_positive_rate = fit_.options.false_positive_rate.value_or(
                               std::max(kDefaultFalsePositiveRate, 1.0 / (samples_ + 1.0)))};
    return absl::OkStatus();
  }

  std::uint64_t ComparisonSeed() const { return SeedFor(fit_.options.seed, kComparison); }

  std::shared_ptr<Model> model_;
  const TargetFit& fit_;
  const ReverseKlOptions options_;
  const int samples_;
  Backend& backend_;
  std::stop_token stop_;
};

}  // namespace

absl::StatusOr<Model> FitTarget(Model model, const TargetFit& fit, Backend& backend,
                                const ProgressCallback& progress, std::stop_token stop) {
  return Fitting(std::move(model), fit, backend, std::move(stop)).Run(progress);
}

}  // namespace millrace
