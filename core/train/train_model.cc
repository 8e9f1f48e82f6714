// SPDX-License-Identifier: Apache-2.0
#include "core/train/train_model.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/flow/architectures.h"
#include "core/score/density.h"
#include "core/train/checkpoint.h"
#include "core/train/choices.h"
#include "core/train/fit.h"
#include "core/train/gaussian.h"
#include "core/train/gaussian_model.h"
#include "core/train/nats.h"
#include "core/train/shrinkage.h"
#include "core/train/split.h"
#include "core/train/start_parameters.h"
#include "core/train/training_rows.h"

namespace millrace {
namespace {

// Rows that are enough for the figure of the fitted rows in the report, and for where training
// starts.
constexpr std::int64_t kEnoughRows = 20000;
constexpr std::int64_t kEnoughImages = 1000;  // each has as many pixels to count
// The flow replaces the Gaussian when its mean advantage on n validation rows exceeds 1 + kDoubt /
// n of its own standard errors: that of a handful of rows is itself a guess.
constexpr double kDoubt = 3.0;
constexpr double kRounding = 1e-4;  // of single precision, relative to a log-density
constexpr double kDefaultFalsePositiveRate = 0.01;
// A context has a number for each category; more than these would take more memory than tables do.
constexpr std::int64_t kMostContextNumbers = std::int64_t{1} << 28;
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
    MILLRACE_RETURN_IF_ERROR(PrepareRows());
    MILLRACE_ASSIGN_OR_RETURN(
        model_->spec, ChooseFlow(request_.flow, split().fit_rows, model_->columns.dim(),
                                 model_->context.dim(), SeedFor(request_.options.seed, kFlow)));
    MILLRACE_RETURN_IF_ERROR(CheckParameters());
    MILLRACE_RETURN_IF_ERROR(FitFlow());
    MILLRACE_RETURN_IF_ERROR(CompareWithGaussian());
    model_->create_time_unix_micros = absl::ToUnixMicros(absl::Now());
    return std::move(*model_);
  }

 private:
  // Now that the categories of labels are known.
  absl::Status CheckParameters() const {
    const double parameters = EstimateParameters(model_->spec);
    if (parameters <= static_cast<double>(request_.max_parameters)) return absl::OkStatus();
    return MakeError(
        absl::StatusCode::kResourceExhausted,
        {.field = "flow",
         .value = absl::StrCat("about ", parameters, " parameters"),
         .expected = absl::StrCat("at most ", request_.max_parameters,
                                  ": fewer or narrower layers, or labels of fewer categories")});
  }

  absl::Status FitColumns() {
    if (rows_.rows < kMinRows)
      return InvalidArgument("rows", absl::StrCat(rows_.rows),
                             absl::StrCat("at least ", kMinRows, " rows to train on"));
    std::vector<ColumnSpec> specs = request_.columns;
    if (specs.empty()) {
      specs.resize(rows_.cols);
      for (int c = 0; c < rows_.cols; ++c) specs[c].name = absl::StrCat("x", c);
    }
    if (request_.flow.image) {
      for (ColumnSpec& spec : specs)
        if (spec.role == ColumnRole::kFeature && spec.type == ColumnType::kAuto)
          spec.type = ColumnType::kPixel;
    }
    MILLRACE_ASSIGN_OR_RETURN(model_->columns, ColumnModel::Fit(specs, rows_, stop_));
    MILLRACE_ASSIGN_OR_RETURN(model_->context, ContextModel::Fit(specs, rows_, model_->columns));
    if (rows_.rows > kMostContextNumbers / std::max(1, model_->context.dim()))
      return MakeError(
          absl::StatusCode::kResourceExhausted,
          {.field = "columns",
           .value = absl::StrCat(rows_.rows, " contexts of ", model_->context.dim(), " numbers"),
           .expected = absl::StrCat("at most ", kMostContextNumbers,
                                    " numbers: fewer rows, or labels of fewer categories")});
    model_->report.log_unit = model_->columns.log_unit();
    for (const Condition& condition : model_->context.conditions()) {
      if (condition.deviation == 0.0 && condition.categories.size() <= 1)
        model_->report.warnings.push_back(
            absl::StrCat("condition '", PrintableValue(condition.name),
                         "' has one value in all rows and no influence"));
    }
    return absl::OkStatus();
  }

  absl::Status PrepareRows() {
    const std::uint64_t seed = request_.options.seed;
    const HeldOutRows sizes =
        ChooseHeldOutRows(request_.options, rows_.rows, request_.flow.image.has_value());
    MILLRACE_ASSIGN_OR_RETURN(
        Split split, SplitRows(rows_, model_->context.conditions(), sizes, SeedFor(seed, kSplit)));
    data_.emplace(model_->columns, model_->context, std::move(split),
                  TrainingRows::Seeds{SeedFor(seed, kNoise), SeedFor(seed, kValidationNoise)});
    if (request_.flow.image) return absl::OkStatus();  // nothing whitens images
    MILLRACE_ASSIGN_OR_RETURN(shrinkage_, ChooseShrinkage(data_->known().rows, stop_));
    return absl::OkStatus();
  }

  const Split& split() const { return data_->split(); }
  std::int64_t EnoughRows() const {
    return std::min(model_->spec.image ? kEnoughImages : kEnoughRows, split().fit_rows);
  }

  RowKind Kind() const {
    if (model_->spec.image) return RowKind::kImages;
    const bool pixels = std::ranges::all_of(request_.columns, [](const ColumnSpec& spec) {
      return spec.type == ColumnType::kPixel || spec.role == ColumnRole::kCondition;
    });
    return pixels && !request_.columns.empty() ? RowKind::kPixels : RowKind::kTable;
  }

  absl::Status FitFlow() {
    const int dim = model_->columns.dim();
    const std::uint64_t seed = request_.options.seed;
    MILLRACE_ASSIGN_OR_RETURN(const std::shared_ptr<const Flow> flow, Flow::Create(model_->spec));
    FitState state;
    MILLRACE_ASSIGN_OR_RETURN(
        state.train.parameters,
        StartParameters(*flow, data_->fit().Slice(0, EnoughRows()), shrinkage_, backend_, stop_));
    FitOptions options = ChooseFitOptions(request_.options, split().fit_rows, dim, Kind());
    options.seed = SeedFor(seed, kShuffle);
    Checkpoint checkpoint(request_, model_->spec, options, rows_);
    MILLRACE_RETURN_IF_ERROR(checkpoint.Resume(flow->layout(), state));
    MILLRACE_ASSIGN_OR_RETURN(const std::unique_ptr<TrainSession> session,
                              backend_.StartTraining(flow, state.train));
    const FitData data{.rows = split().fit_rows,
                       .dim = dim,
                       .epoch_rows = [this](std::int64_t epoch) { return data_->EpochRows(epoch); },
                       .context = data_->fit().context,
                       .validation = data_->validation()};
    const auto in_standardised_units = [&](TrainProgress progress) {
      progress.train_nats += data_->fit_log_det();
      progress.validation_nats += data_->validation_log_det();
      progress.best_validation_nats += data_->validation_log_det();
      progress_(progress);
    };
    MILLRACE_RETURN_IF_ERROR(millrace::Fit(
        *session, data, options, progress_ ? ProgressCallback(in_standardised_units) : nullptr,
        [&](const FitState& s) { return checkpoint.Keep(s); }, stop_, state));
    for (const auto& transform : flow->transforms()) transform->ConstrainByBound(state.best.span());
    checkpoint.Remove();
    ReportFit(state);
    model_->parameters = std::move(state.best);
    return absl::OkStatus();
  }

  void ReportFit(const FitState& state) {
    TrainingReport& report = model_->report;
    report.fit_rows = split().fit_rows;
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

  struct HeldOut {
    std::vector<double> validation, calibration;  // log-densities, nats in the user's units
  };

  absl::StatusOr<std::vector<double>> LogProb(const std::shared_ptr<const Model>& model,
                                              ConditionedRows<const double> data) const {
    MILLRACE_ASSIGN_OR_RETURN(const std::unique_ptr<const Density> density,
                              Density::Create(model, backend_));
    MILLRACE_ASSIGN_OR_RETURN(LogProbResult result,
                              density->LogProb(data.rows, stop_, data.context));
    return std::move(result.log_prob);
  }

  // The flow stays only where it is better on the validation rows than the Gaussian of the fitted
  // rows, and on the calibration rows not worse than the Gaussians of all others, shrunk and not.
  // The Gaussians ignore the conditions: what a conditional flow has learned of those counts for
  // it.
  absl::Status CompareWithGaussian() {
    const ConditionedRows<const double> calibration = split().calibration();
    HeldOut flow, other;
    MILLRACE_ASSIGN_OR_RETURN(flow.validation, LogProb(model_, split().validation()));
    MILLRACE_ASSIGN_OR_RETURN(flow.calibration, LogProb(model_, calibration));
    // A Gaussian says nothing of images.
    if (model_->spec.image) return Report(std::move(flow));
    data_->MoveToBinCentres();
    const auto gaussian_of = [&](ConditionedRows<const float> data, double shrinkage) {
      return GaussianModel(*model_, data, shrinkage, backend_, stop_);
    };
    MILLRACE_ASSIGN_OR_RETURN(std::shared_ptr<Model> gaussian,
                              gaussian_of(data_->fit(), shrinkage_));
    MILLRACE_ASSIGN_OR_RETURN(other.validation, LogProb(gaussian, split().validation()));
    MILLRACE_ASSIGN_OR_RETURN(gaussian, gaussian_of(data_->known(), shrinkage_));
    MILLRACE_ASSIGN_OR_RETURN(other.calibration, LogProb(gaussian, calibration));
    if (shrinkage_ > 0.0) {
      MILLRACE_ASSIGN_OR_RETURN(std::shared_ptr<Model> plain, gaussian_of(data_->known(), 0.0));
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
    // A chain of the caller's own is trained as it is.
    if (better || model_->spec.chain) return Report(std::move(flow));
    model_ = std::move(gaussian);
    model_->report.gaussian_fallback = true;
    model_->report.warnings.push_back(
        "the flow was not better than a full-covariance Gaussian on held-out rows; the model is "
        "that Gaussian");
    return Report(std::move(other));
  }

  absl::Status Report(HeldOut scores) {
    TrainingReport& report = model_->report;
    MILLRACE_ASSIGN_OR_RETURN(const std::vector<double> fit,
                              LogProb(model_, split().fit().Slice(0, EnoughRows())));
    report.fit = NatsOf(fit, report.log_unit);
    report.validation = NatsOf(scores.validation, report.log_unit);
    report.held_out = NatsOf(scores.calibration, report.log_unit);
    Calibrate(std::move(scores.calibration));
    if (model_->spec.image) return absl::OkStatus();
    MILLRACE_ASSIGN_OR_RETURN(const Gaussian gaussian,
                              Gaussian::Fit(model_->columns, split().known.view(), stop_));
    report.gaussian_held_out =
        NatsOf(gaussian.LogProb(split().calibration().rows), report.log_unit);
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
  std::optional<TrainingRows> data_;
  double shrinkage_ = 0.0;  // of the covariances that training starts with
};

}  // namespace

absl::StatusOr<Model> TrainModel(const TrainRequest& request, RowsView<const double> rows,
                                 Backend& backend, const ProgressCallback& progress,
                                 std::stop_token stop) {
  return Training(request, rows, backend, progress, std::move(stop)).Run();
}

}  // namespace millrace
