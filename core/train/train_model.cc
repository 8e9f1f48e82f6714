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
#include "core/score/density.h"
#include "core/train/checkpoint.h"
#include "core/train/choices.h"
#include "core/train/fit.h"
#include "core/train/gaussian.h"
#include "core/train/gaussian_model.h"
#include "core/train/nats.h"
#include "core/train/shrinkage.h"
#include "core/train/split.h"

namespace millrace {
namespace {

// Rows that are enough for the figure of the fitted rows in the report, and for where training
// starts.
constexpr std::int64_t kEnoughRows = 20000;
// The flow replaces the Gaussian when its mean advantage on n validation rows exceeds 1 + kDoubt /
// n of its own standard errors: that of a handful of rows is itself a guess.
constexpr double kDoubt = 3.0;
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
    MILLRACE_ASSIGN_OR_RETURN(
        split_, SplitRows(rows_, request_.options, SeedFor(request_.options.seed, kSplit)));
    MILLRACE_ASSIGN_OR_RETURN(
        model_->spec, ChooseSpec(request_.architecture, split_.fit_rows, model_->columns.dim(),
                                 SeedFor(request_.options.seed, kFlow)));
    MILLRACE_RETURN_IF_ERROR(StandardiseRows());
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
    MILLRACE_ASSIGN_OR_RETURN(model_->columns, ColumnModel::Fit(specs, rows_, stop_));
    model_->report.log_unit = model_->columns.log_unit();
    return absl::OkStatus();
  }

  // Parameters of an untrained flow whose data-dependent layers know their inputs.
  absl::StatusOr<ParameterValues> StartParameters(const Flow& flow) {
    ParameterValues parameters = flow.InitialParameters();
    const RowsView<const float> rows = FitRows().Slice(0, std::min(kEnoughRows, split_.fit_rows));
    for (int t = 0; t < static_cast<int>(flow.transforms().size()); ++t) {
      if (!flow.transforms()[t]->WantsMoments()) continue;
      MILLRACE_ASSIGN_OR_RETURN(
          Moments moments, backend_.ComputeMoments(flow, parameters.span(), t, rows, {}, stop_));
      // Only a first layer's inputs are the rows' own.
      if (t == 0) Shrink(shrinkage_, flow.spec().dim, moments.covariance);
      flow.transforms()[t]->InitialiseFromMoments(moments, parameters.span());
    }
    return parameters;
  }

  RowsView<float> FitRows() { return standardised_.view().Slice(0, split_.fit_rows); }
  RowsView<float> ValidationRows() {
    return standardised_.view().Slice(split_.fit_rows, standardised_.rows() - split_.fit_rows);
  }

  // Fills standardised_ with the known rows, noise in their bins.
  absl::Status StandardiseRows() {
    const ColumnModel& columns = model_->columns;
    const std::uint64_t seed = request_.options.seed;
    standardised_ = Rows<float>(split_.known.rows(), columns.dim());
    fit_log_det_ = BinCentres(split_.fit(), FitRows());
    validation_log_det_ = BinCentres(split_.validation(), ValidationRows());
    columns.ToTraining(split_.fit(), SeedFor(seed, kNoise), 0, FitRows());
    columns.ToTraining(split_.validation(), SeedFor(seed, kValidationNoise), 0, ValidationRows());
    MILLRACE_ASSIGN_OR_RETURN(shrinkage_, ChooseShrinkage(standardised_.view(), stop_));
    return absl::OkStatus();
  }

  // FitRows, with fresh noise in their bins every epoch.
  RowsView<const float> EpochRows(std::int64_t epoch) {
    if (model_->columns.num_offsets() > 1)
      model_->columns.ToTraining(split_.fit(), SeedFor(request_.options.seed, kNoise),
                                 static_cast<std::uint64_t>(epoch * split_.fit_rows), FitRows());
    return FitRows();
  }

  absl::Status FitFlow() {
    const int dim = model_->columns.dim();
    const std::uint64_t seed = request_.options.seed;
    MILLRACE_ASSIGN_OR_RETURN(const std::shared_ptr<const Flow> flow, Flow::Create(model_->spec));
    FitState state;
    MILLRACE_ASSIGN_OR_RETURN(state.train.parameters, StartParameters(*flow));
    FitOptions options = ChooseFitOptions(request_.options, split_.fit_rows, dim);
    options.seed = SeedFor(seed, kShuffle);
    Checkpoint checkpoint(request_, model_->spec, options, rows_);
    MILLRACE_RETURN_IF_ERROR(checkpoint.Resume(flow->layout(), state));
    MILLRACE_ASSIGN_OR_RETURN(const std::unique_ptr<TrainSession> session,
                              backend_.StartTraining(flow, state.train));
    const FitData data{.rows = split_.fit_rows,
                       .dim = dim,
                       .epoch_rows = [this](std::int64_t epoch) { return EpochRows(epoch); },
                       .validation = ValidationRows()};
    const auto in_standardised_units = [&](TrainProgress progress) {
      progress.train_nats += fit_log_det_;
      progress.validation_nats += validation_log_det_;
      progress.best_validation_nats += validation_log_det_;
      progress_(progress);
    };
    MILLRACE_RETURN_IF_ERROR(millrace::Fit(
        *session, data, options, progress_ ? ProgressCallback(in_standardised_units) : nullptr,
        [&](const FitState& s) { return checkpoint.Keep(s); }, stop_, state));
    checkpoint.Remove();
    ReportFit(state);
    model_->parameters = std::move(state.best);
    return absl::OkStatus();
  }

  void ReportFit(const FitState& state) {
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

  absl::StatusOr<std::vector<double>> LogProb(const std::shared_ptr<const Model>& model,
                                              RowsView<const double> rows) const {
    MILLRACE_ASSIGN_OR_RETURN(const std::unique_ptr<const Density> density,
                              Density::Create(model, backend_));
    MILLRACE_ASSIGN_OR_RETURN(LogProbResult result, density->LogProb(rows, stop_));
    return std::move(result.log_prob);
  }

  // The flow stays only where it is better on the validation rows than the Gaussian of the fitted
  // rows, and on the calibration rows not worse than the Gaussians of all others, shrunk and not.
  absl::Status CompareWithGaussian() {
    const RowsView<const double> calibration = split_.calibration.view();
    HeldOut flow, other;
    MILLRACE_ASSIGN_OR_RETURN(flow.validation, LogProb(model_, split_.validation()));
    MILLRACE_ASSIGN_OR_RETURN(flow.calibration, LogProb(model_, calibration));
    BinCentres(split_.known.view(), standardised_.view());
    const RowsView<const float> known = standardised_.view();
    const auto gaussian_of = [&](RowsView<const float> rows, double shrinkage) {
      return GaussianModel(*model_, rows, shrinkage, backend_, stop_);
    };
    MILLRACE_ASSIGN_OR_RETURN(std::shared_ptr<Model> gaussian,
                              gaussian_of(known.Slice(0, split_.fit_rows), shrinkage_));
    MILLRACE_ASSIGN_OR_RETURN(other.validation, LogProb(gaussian, split_.validation()));
    MILLRACE_ASSIGN_OR_RETURN(gaussian, gaussian_of(known, shrinkage_));
    MILLRACE_ASSIGN_OR_RETURN(other.calibration, LogProb(gaussian, calibration));
    if (shrinkage_ > 0.0) {
      MILLRACE_ASSIGN_OR_RETURN(std::shared_ptr<Model> plain, gaussian_of(known, 0.0));
      MILLRACE_ASSIGN_OR_RETURN(std::vector<double> log_prob, LogProb(plain, calibration));
      if (Advantage(log_prob, other.calibration).mean > 0.0) {
        gaussian = std::move(plain);
        other.calibration = std::move(log_prob);
      }
    }
    const Nats validation = Advantage(flow.validation, other.validation);
    const double errors = 1.0 + kDoubt / static_cast<double>(validation.rows);
    const bool better = validation.rows > 1 &&
                        validation.mean > errors * validation.standard_error &&
                        Advantage(flow.calibration, other.calibration).mean >= 0.0;
    if (better) return Report(std::move(flow));
    model_ = std::move(gaussian);
    model_->report.gaussian_fallback = true;
    model_->report.warnings.push_back(
        "the flow was not better than a full-covariance Gaussian on held-out rows; the model is "
        "that Gaussian");
    return Report(std::move(other));
  }

  absl::Status Report(HeldOut scores) {
    TrainingReport& report = model_->report;
    MILLRACE_ASSIGN_OR_RETURN(
        const std::vector<double> fit,
        LogProb(model_, split_.fit().Slice(0, std::min(kEnoughRows, split_.fit_rows))));
    report.fit = NatsOf(fit, report.log_unit);
    report.validation = NatsOf(scores.validation, report.log_unit);
    report.held_out = NatsOf(scores.calibration, report.log_unit);
    MILLRACE_ASSIGN_OR_RETURN(const Gaussian gaussian,
                              Gaussian::Fit(model_->columns, split_.known.view(), stop_));
    report.gaussian_held_out = NatsOf(gaussian.LogProb(split_.calibration.view()), report.log_unit);
    Calibrate(std::move(scores.calibration));
    if (report.held_out.mean <
        report.gaussian_held_out.mean - kRounding * std::abs(report.held_out.mean))
      report.warnings.push_back(
          absl::StrCat("a full-covariance Gaussian of the rows as they are, bounds aside, has a "
                       "higher density on held-out rows by ",
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
  Split split_;
  Rows<float> standardised_;  // split_.known, as the flow sees it
  double shrinkage_ = 0.0;    // of the covariances that training starts with
  // Mean log|d bin centre, as the flow sees it / d standardised value|.
  double fit_log_det_ = 0.0, validation_log_det_ = 0.0;
};

}  // namespace

absl::StatusOr<Model> TrainModel(const TrainRequest& request, RowsView<const double> rows,
                                 Backend& backend, const ProgressCallback& progress,
                                 std::stop_token stop) {
  return Training(request, rows, backend, progress, std::move(stop)).Run();
}

}  // namespace millrace
