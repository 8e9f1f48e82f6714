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
#include "core/train/nats.h"

namespace millrace {
namespace {

// Rows that are enough for the figure of the fitted rows in the report, and for where training
// starts.
constexpr std::int64_t kEnoughRows = 20000;
// The flow replaces the Gaussian when its mean advantage on validation rows is this many of its own
// standard errors.
constexpr double kAdvantage = 1.0;
constexpr double kRounding = 1e-4;  // of single precision, relative to a log-density
constexpr double kDefaultFalsePositiveRate = 0.01;
// Random streams of one training run, told apart by their seeds.
enum Purpose : std::uint64_t { kSplit = 1, kNoise, kValidationNoise, kShuffle, kFlow };

std::uint64_t SeedFor(std::uint64_t seed, Purpose purpose) {
  return seed * 0x9E3779B97F4A7C15u + purpose;
}

class Training {
 public:
  Training(const TrainRequest& request, RowsView<const double> rows, Backend& backend,
           const ProgressCallback& progress, std::stop_token stop)
      : request_(request),
        rows_(rows),
        backend_(backend),
        progress_(progress),
        stop_(std::move(stop)) {}

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
      MILLRACE_ASSIGN_OR_RETURN(
          const Moments moments,
          backend_.ComputeMoments(flow, parameters.span(), t, rows, {}, stop_));
      flow.transforms()[t]->InitialiseFromMoments(moments, parameters.span());
    }
    return parameters;
  }

  absl::Status FitFlow() {
    const ColumnModel& columns = model_->columns;
    const std::uint64_t seed = request_.options.seed;
    MILLRACE_ASSIGN_OR_RETURN(model_->spec, ChooseSpec(request_.architecture, fit_.rows(),
                                                       columns.dim(), SeedFor(seed, kFlow)));
    MILLRACE_ASSIGN_OR_RETURN(const std::shared_ptr<const Flow> flow, Flow::Create(model_->spec));
    standardised_ = Rows<float>(fit_.rows(), columns.dim());
    Rows<float> validation(validation_.rows(), columns.dim());
    const double fit_log_det = BinCentres(fit_.view(), standardised_.view());
    const double validation_log_det = BinCentres(validation_.view(), validation.view());
    columns.ToTraining(fit_.view(), SeedFor(seed, kNoise), 0, standardised_.view());
    columns.ToTraining(validation_.view(), SeedFor(seed, kValidationNoise), 0, validation.view());

    FitState state;
    MILLRACE_ASSIGN_OR_RETURN(state.train.parameters, StartParameters(*flow));
    FitOptions options = ChooseFitOptions(request_.options, fit_.rows(), columns.dim());
    options.seed = SeedFor(seed, kShuffle);
    Checkpoint checkpoint(request_, model_->spec, rows_);
    MILLRACE_RETURN_IF_ERROR(checkpoint.Resume(flow->layout(), state));
    MILLRACE_ASSIGN_OR_RETURN(const std::unique_ptr<TrainSession> session,
                              backend_.StartTraining(flow, state.train));
    const FitData data{.rows = fit_.rows(),
                       .dim = columns.dim(),
                       .epoch_rows =
                           [&](std::int64_t epoch) {
                             // Fresh noise in the bins every epoch.
                             if (columns.num_offsets() > 1)
                               columns.ToTraining(fit_.view(), SeedFor(seed, kNoise),
                                                  static_cast<std::uint64_t>(epoch * fit_.rows()),
                                                  standardised_.view());
                             return RowsView<const float>(standardised_.view());
                           },
                       .validation = validation.view()};
    const auto in_standardised_units = [&](TrainProgress progress) {
      progress.train_nats += fit_log_det;
      progress.validation_nats += validation_log_det;
      progress.best_validation_nats += validation_log_det;
      progress_(progress);
    };
    MILLRACE_RETURN_IF_ERROR(Fit(
        *session, data, options, progress_ ? ProgressCallback(in_standardised_units) : nullptr,
        [&](const FitState& s) { return checkpoint.Keep(s); }, stop_, state));
    checkpoint.Remove();
    model_->parameters = std::move(state.best);
    TrainingReport& report = model_->report;
    report.epochs = state.epoch;
    report.steps = state.train.steps;
    report.seconds = state.seconds;
    report.best_epoch = state.best_epoch;
    report.divergences = state.divergences;
    report.stop_reason = state.stop_reason;
    if (state.divergences > 0)
      report.warnings.push_back(absl::StrCat("training diverged ", state.divergences,
                                             " times and went on with a lower learning rate"));
    return absl::OkStatus();
  }

  // What the flow sees of rows at the centres of their bins; returns the mean log|d of it / d
  // standardised value|.
  double BinCentres(RowsView<const double> rows, RowsView<float> out) const {
    std::vector<double> log_det(static_cast<std::size_t>(rows.rows));
    std::vector<std::uint8_t> outside(log_det.size());
    model_->columns.ToModel(rows, ColumnModel::kBinCentres, out, log_det, outside);
    return std::accumulate(log_det.begin(), log_det.end(), 0.0) / static_cast<double>(rows.rows) +
           model_->columns.log_unit();
  }

  struct HeldOut {
    std::vector<double> validation, calibration;  // log-densities, nats in the user's units
  };

  absl::StatusOr<HeldOut> Score(const std::shared_ptr<const Model>& model) const {
    HeldOut scores;
    MILLRACE_ASSIGN_OR_RETURN(scores.validation, LogProb(model, validation_.view()));
    MILLRACE_ASSIGN_OR_RETURN(scores.calibration, LogProb(model, calibration_.view()));
    return scores;
  }

  absl::StatusOr<std::vector<double>> LogProb(const std::shared_ptr<const Model>& model,
                                              RowsView<const double> rows) const {
    MILLRACE_ASSIGN_OR_RETURN(const std::unique_ptr<const Density> density,
                              Density::Create(model, backend_));
    MILLRACE_ASSIGN_OR_RETURN(LogProbResult result, density->LogProb(rows, stop_));
    return std::move(result.log_prob);
  }

  // The flow stays only where it is better than the Gaussian on the validation rows and not worse
  // on the calibration rows.
  absl::Status CompareWithGaussian() {
    MILLRACE_ASSIGN_OR_RETURN(HeldOut flow, Score(model_));
    MILLRACE_ASSIGN_OR_RETURN(std::shared_ptr<Model> gaussian, GaussianModel());
    MILLRACE_ASSIGN_OR_RETURN(HeldOut other, Score(gaussian));
    const Nats validation = Advantage(flow.validation, other.validation);
    const bool better = validation.rows > 1 &&
                        validation.mean > kAdvantage * validation.standard_error &&
                        Advantage(flow.calibration, other.calibration).mean >= 0.0;
    if (better) return Report(std::move(flow));
    model_ = std::move(gaussian);
    model_->report.gaussian_fallback = true;
    model_->report.warnings.push_back(
        "the flow was not better than a full-covariance Gaussian on held-out rows; the model is "
        "that "
        "Gaussian");
    return Report(std::move(other));
  }

  // The full-covariance Gaussian of what the flow sees: on a table without bounds the very one that
  // the report compares with, up to rounding.
  absl::StatusOr<std::shared_ptr<Model>> GaussianModel() {
    auto model = std::make_shared<Model>(*model_);
    MafSpec& maf = *model->spec.maf;
    maf.layers = 0;
    maf.whiten = true;
    MILLRACE_ASSIGN_OR_RETURN(const std::shared_ptr<const Flow> flow, Flow::Create(model->spec));
    model->parameters = flow->InitialParameters();
    const ColumnModel& columns = model->columns;
    BinCentres(fit_.view(), standardised_.view());
    MILLRACE_ASSIGN_OR_RETURN(Moments moments,
                              backend_.ComputeMoments(*flow, model->parameters.span(), 0,
                                                      standardised_.view(), {}, stop_));
    for (std::size_t i = 0; i < columns.active().size(); ++i) {
      const Column& column = columns.columns()[columns.active()[i]];
      if (!column.lower && !column.upper)
        moments.covariance[i * columns.active().size() + i] +=
            BinVariance(column.bin_width, column.scale);
    }
    flow->transforms()[0]->InitialiseFromMoments(moments, model->parameters.span());
    return model;
  }

  absl::Status Report(HeldOut scores) {
    TrainingReport& report = model_->report;
    MILLRACE_ASSIGN_OR_RETURN(
        const std::vector<double> fit,
        LogProb(model_, fit_.view().Slice(0, std::min(kEnoughRows, fit_.rows()))));
    report.fit = NatsOf(fit, report.log_unit);
    report.validation = NatsOf(scores.validation, report.log_unit);
    report.held_out = NatsOf(scores.calibration, report.log_unit);
    report.gaussian_held_out = NatsOf(
        Gaussian(model_->columns, fit_.view()).LogProb(calibration_.view()), report.log_unit);
    Calibrate(std::move(scores.calibration));
    if (report.held_out.mean <
        report.gaussian_held_out.mean - kRounding * std::abs(report.held_out.mean))
      report.warnings.push_back(
          absl::StrCat("a full-covariance Gaussian that knows no bounds has a higher density on "
                       "held-out rows by ",
                       report.gaussian_held_out.mean - report.held_out.mean, " nats a row"));
    return absl::OkStatus();
  }

  void Calibrate(std::vector<double> log_probs) {
    TrainingReport& report = model_->report;
    const auto outside = static_cast<std::int64_t>(log_probs.size()) - report.held_out.rows;
    if (outside > 0)
      report.warnings.push_back(
          absl::StrCat(outside, " of ", log_probs.size(),
                       " calibration rows have density 0 in single precision"));
    std::ranges::sort(log_probs);
    const double finest = 1.0 / (static_cast<double>(log_probs.size()) + 1.0);
    model_->calibration = {.log_probs = std::move(log_probs),
                           .false_positive_rate = request_.options.false_positive_rate.value_or(
                               std::max(kDefaultFalsePositiveRate, finest))};
    const Calibration& calibration = model_->calibration;
    if (calibration.false_positive_rate < finest)
      report.warnings.push_back(absl::StrCat(
          "false_positive_rate ", calibration.false_positive_rate, " is below 1/(n + 1) = ", finest,
          " of the ", calibration.log_probs.size(),
          " calibration rows: name a larger rate when scoring, or train on more rows"));
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
