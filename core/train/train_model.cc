// SPDX-License-Identifier: Apache-2.0
#include "core/train/train_model.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/math/uniform.h"
#include "core/score/density.h"
#include "core/train/checkpoint.h"
#include "core/train/choices.h"
#include "core/train/fit.h"
#include "core/train/gaussian.h"

namespace millrace {
namespace {

// Rows that are enough for the figure of the fitted rows in the report, and for moments.
constexpr std::int64_t kEnoughRows = 20000;
// The flow replaces the Gaussian when its mean advantage on validation rows is this many of its own
// standard errors.
constexpr double kAdvantage = 1.64;
// Random streams of one training run, told apart by their seeds.
enum Purpose : std::uint64_t { kSplit = 1, kNoise, kValidationNoise, kShuffle, kFlow };

std::uint64_t SeedFor(std::uint64_t seed, Purpose purpose) {
  return seed * 0x9E3779B97F4A7C15u + purpose;
}

Nats NatsOf(std::span<const double> log_prob, double offset) {
  Nats nats;
  double sum = 0.0, squares = 0.0;
  for (double value : log_prob) {
    if (!std::isfinite(value)) continue;  // out of support: counted in a warning
    ++nats.rows;
    sum += value + offset;
  }
  if (nats.rows == 0) return nats;
  const auto n = static_cast<double>(nats.rows);
  nats.mean = sum / n;
  for (double value : log_prob)
    if (std::isfinite(value)) squares += (value + offset - nats.mean) * (value + offset - nats.mean);
  nats.standard_error = std::sqrt(squares / n / std::max(1.0, n - 1.0));
  return nats;
}

class Training {
 public:
  Training(const TrainRequest& request, RowsView<const double> rows, Backend& backend,
           const ProgressCallback& progress, std::stop_token stop)
      : request_(request), rows_(rows), backend_(backend), progress_(progress), stop_(std::move(stop)) {}

  absl::StatusOr<Model> Run() {
    MILLRACE_RETURN_IF_ERROR(Validate(request_.options));
    MILLRACE_RETURN_IF_ERROR(FitColumns());
    MILLRACE_RETURN_IF_ERROR(SplitRows());
    MILLRACE_RETURN_IF_ERROR(FitFlow());
    MILLRACE_RETURN_IF_ERROR(CompareWithGaussian());
    model_->create_time_unix_micros = absl::ToUnixMicros(absl::Now());
    return std::move(*model_);
  }

 private:
  absl::Status FitColumns() {
    if (rows_.rows < kMinRows)
      return InvalidArgument("rows", absl::StrCat(rows_.rows),
                             absl::StrCat("at least ", kMinRows, " rows to train on"));
    std::vector<ColumnSpec> specs = request_.columns;
    if (specs.empty()) {
      specs.resize(rows_.cols);
      for (int c = 0; c < rows_.cols; ++c) specs[c].name = absl::StrCat("x", c);
    }
    MILLRACE_ASSIGN_OR_RETURN(model_->columns, ColumnModel::Fit(specs, rows_));
    model_->report.log_unit = model_->columns.log_unit();
    return absl::OkStatus();
  }

  // The same permutation for the same seed: fitting rows, then validation, then calibration.
  absl::Status SplitRows() {
    std::vector<std::int64_t> order(static_cast<std::size_t>(rows_.rows));
    std::iota(order.begin(), order.end(), 0);
    Shuffle(order, order.size(), SeedFor(request_.options.seed, kSplit), 1);
    const auto part = [&](double fraction) {
      return std::max<std::int64_t>(1, std::llround(fraction * static_cast<double>(rows_.rows)));
    };
    const std::int64_t validation = part(request_.options.validation_fraction);
    const std::int64_t calibration = part(request_.options.calibration_fraction);
    const std::int64_t fit = rows_.rows - validation - calibration;
    if (fit < 2)
      return InvalidArgument("options.calibration_fraction",
                             absl::StrCat(request_.options.calibration_fraction),
                             "validation_fraction and calibration_fraction that leave rows to fit");
    Take(order, 0, fit, fit_);
    Take(order, fit, validation, validation_);
    Take(order, fit + validation, calibration, calibration_);
    return absl::OkStatus();
  }

  void Take(const std::vector<std::int64_t>& order, std::int64_t first, std::int64_t count,
            Rows<double>& to) const {
    to = Rows<double>(count, rows_.cols);
    for (std::int64_t r = 0; r < count; ++r)
      std::ranges::copy(rows_.row(order[first + r]), to.view().row(r).begin());
  }

  // Parameters of an untrained flow whose data-dependent layers know their inputs.
  absl::StatusOr<ParameterValues> StartParameters(const Flow& flow) {
    ParameterValues parameters = flow.InitialParameters();
    const RowsView<const float> rows =
        RowsView<const float>(standardised_.view()).Slice(0, std::min(kEnoughRows, fit_.rows()));
    for (int t = 0; t < static_cast<int>(flow.transforms().size()); ++t) {
      if (!flow.transforms()[t]->WantsMoments()) continue;
      MILLRACE_ASSIGN_OR_RETURN(const Moments moments,
                                backend_.ComputeMoments(flow, parameters.span(), t, rows, {}, stop_));
      flow.transforms()[t]->InitialiseFromMoments(moments, parameters.span());
    }
    return parameters;
  }

  absl::Status FitFlow() {
    const ColumnModel& columns = model_->columns;
    const std::uint64_t seed = request_.options.seed;
    MILLRACE_ASSIGN_OR_RETURN(model_->spec, ChooseSpec(request_.architecture, fit_.rows(), columns.dim(),
                                                       SeedFor(seed, kFlow)));
    MILLRACE_ASSIGN_OR_RETURN(const std::shared_ptr<const Flow> flow, Flow::Create(model_->spec));
    standardised_ = Rows<float>(fit_.rows(), columns.dim());
    columns.ToTraining(fit_.view(), SeedFor(seed, kNoise), 0, standardised_.view());
    Rows<float> validation(validation_.rows(), columns.dim());
    columns.ToTraining(validation_.view(), SeedFor(seed, kValidationNoise), 0, validation.view());

    FitState state;
    MILLRACE_ASSIGN_OR_RETURN(state.train.parameters, StartParameters(*flow));
    FitOptions options = ChooseFitOptions(request_.options, fit_.rows(), columns.dim());
    options.seed = SeedFor(seed, kShuffle);
    Checkpoint checkpoint(request_, model_->spec, rows_);
    MILLRACE_RETURN_IF_ERROR(checkpoint.Resume(flow->layout(), state));
    MILLRACE_ASSIGN_OR_RETURN(const std::unique_ptr<TrainSession> session,
                              backend_.StartTraining(flow, state.train));
    const FitData data{
        .rows = fit_.rows(),
        .dim = columns.dim(),
        .epoch_rows =
            [&](std::int64_t epoch) {
              // Fresh noise in the bins every epoch.
              if (columns.num_offsets() > 1)
                columns.ToTraining(fit_.view(), SeedFor(seed, kNoise),
                                   static_cast<std::uint64_t>(epoch * fit_.rows()), standardised_.view());
              return RowsView<const float>(standardised_.view());
            },
        .validation = validation.view()};
    MILLRACE_RETURN_IF_ERROR(Fit(*session, data, options, progress_,
                                 [&](const FitState& s) { return checkpoint.Keep(s); },
                                 stop_, state));
    checkpoint.Remove();
    model_->parameters = std::move(state.best);
    TrainingReport& report = model_->report;
    report.epochs = state.epoch;
    report.steps = session->Save().steps;
    report.seconds = state.seconds;
    report.best_epoch = state.best_epoch;
    report.divergences = state.divergences;
    report.stop_reason = state.stop_reason;
    if (state.divergences > 0)
      report.warnings.push_back(absl::StrCat("training diverged ", state.divergences,
                                             " times and went on with a lower learning rate"));
    return absl::OkStatus();
  }

  // Log-densities of rows under the model, in the user's units.
  absl::StatusOr<std::vector<double>> LogProb(const Rows<double>& rows) {
    MILLRACE_ASSIGN_OR_RETURN(const std::unique_ptr<const Density> density,
                              Density::Create(model_, backend_));
    MILLRACE_ASSIGN_OR_RETURN(LogProbResult result, density->LogProb(rows.view(), stop_));
    return std::move(result.log_prob);
  }

  // Active columns as (value - mean) / deviation.
  Rows<double> Standardise(const Rows<double>& rows) const {
    const ColumnModel& columns = model_->columns;
    Rows<double> out(rows.rows(), columns.dim());
    for (std::int64_t r = 0; r < rows.rows(); ++r)
      for (int i = 0; i < columns.dim(); ++i) {
        const Column& column = columns.columns()[columns.active()[i]];
        out(r, i) = (rows(r, columns.active()[i]) - column.mean) / column.deviation;
      }
    return out;
  }

  // Where the flow is not better than the Gaussian on the validation rows, or worse on the calibration
  // rows, the Gaussian takes its place.
  absl::Status CompareWithGaussian() {
    const Gaussian gaussian(Standardise(fit_).view());
    const auto gaussian_log_prob = [&](const Rows<double>& rows) {
      const Rows<double> standardised = Standardise(rows);
      std::vector<double> log_prob;
      for (std::int64_t r = 0; r < rows.rows(); ++r)
        log_prob.push_back(gaussian.LogProb(standardised.view().row(r)) - model_->report.log_unit);
      return log_prob;
    };
    const std::vector<double> gaussian_calibration = gaussian_log_prob(calibration_);
    MILLRACE_ASSIGN_OR_RETURN(std::vector<double> validation, LogProb(validation_));
    MILLRACE_ASSIGN_OR_RETURN(std::vector<double> calibration, LogProb(calibration_));
    const double log_unit = model_->report.log_unit;
    const bool better = IsBetter(validation, gaussian_log_prob(validation_)) &&
                        NatsOf(calibration, log_unit).mean >= NatsOf(gaussian_calibration, log_unit).mean;
    if (!better && model_->spec.maf->layers > 0) {
      MILLRACE_RETURN_IF_ERROR(FallBack());
      MILLRACE_ASSIGN_OR_RETURN(validation, LogProb(validation_));
      MILLRACE_ASSIGN_OR_RETURN(calibration, LogProb(calibration_));
    }
    return Report(validation, std::move(calibration), gaussian_calibration);
  }

  static bool IsBetter(std::span<const double> flow, std::span<const double> gaussian) {
    std::vector<double> advantage;
    for (std::size_t r = 0; r < flow.size(); ++r)
      if (std::isfinite(flow[r])) advantage.push_back(flow[r] - gaussian[r]);
    const Nats nats = NatsOf(advantage, 0.0);
    return nats.rows > 1 && nats.mean > kAdvantage * nats.standard_error;
  }

  absl::Status FallBack() {
    MafSpec& maf = *model_->spec.maf;
    maf.layers = 0;
    maf.whiten = true;
    maf.act_norm = false;
    MILLRACE_ASSIGN_OR_RETURN(const std::shared_ptr<const Flow> flow, Flow::Create(model_->spec));
    MILLRACE_ASSIGN_OR_RETURN(model_->parameters, StartParameters(*flow));
    model_->report.gaussian_fallback = true;
    model_->report.warnings.push_back(
        "the flow was not better than a full-covariance Gaussian on held-out rows; the model is that "
        "Gaussian");
    return absl::OkStatus();
  }

  absl::Status Report(std::span<const double> validation, std::vector<double> calibration,
                      std::span<const double> gaussian_calibration) {
    TrainingReport& report = model_->report;
    Rows<double> some(std::min(kEnoughRows, fit_.rows()), fit_.cols());
    std::copy_n(fit_.data(), some.rows() * some.cols(), some.data());
    MILLRACE_ASSIGN_OR_RETURN(const std::vector<double> fit, LogProb(some));
    report.fit = NatsOf(fit, report.log_unit);
    report.validation = NatsOf(validation, report.log_unit);
    report.held_out = NatsOf(calibration, report.log_unit);
    report.gaussian_held_out = NatsOf(gaussian_calibration, report.log_unit);
    const auto outside = static_cast<std::int64_t>(calibration.size()) - report.held_out.rows;
    if (outside > 0)
      report.warnings.push_back(absl::StrCat(outside, " of ", calibration.size(),
                                             " calibration rows are out of support: their density is 0"));
    std::ranges::sort(calibration);
    model_->calibration = {.log_probs = std::move(calibration),
                           .false_positive_rate = request_.options.false_positive_rate};
    const double finest = 1.0 / (static_cast<double>(model_->calibration.log_probs.size()) + 1.0);
    if (model_->calibration.false_positive_rate < finest)
      report.warnings.push_back(absl::StrCat(
          "false_positive_rate ", model_->calibration.false_positive_rate, " is below 1/(n + 1) = ", finest,
          " of the ", model_->calibration.log_probs.size(),
          " calibration rows: name a larger rate when scoring, or train on more rows"));
    return absl::OkStatus();
  }

  const TrainRequest& request_;
  RowsView<const double> rows_;
  Backend& backend_;
  const ProgressCallback& progress_;
  std::stop_token stop_;
  std::shared_ptr<Model> model_ = std::make_shared<Model>();
  Rows<double> fit_, validation_, calibration_;
  Rows<float> standardised_;  // fit_, as the flow sees it
};

}  // namespace

absl::StatusOr<Model> TrainModel(const TrainRequest& request, RowsView<const double> rows,
                                 Backend& backend, const ProgressCallback& progress,
                                 std::stop_token stop) {
  return Training(request, rows, backend, progress, std::move(stop)).Run();
}

}  // namespace millrace
