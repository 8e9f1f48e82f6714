// SPDX-License-Identifier: Apache-2.0
#include "client/cli/commands/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace millrace::cli {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(1);  // between two lines

std::string Clock(std::int64_t seconds) {
  if (seconds >= 3600) {
    return absl::StrFormat("%d:%02d:%02d", seconds / 3600, seconds / 60 % 60, seconds % 60);
  }
  return absl::StrFormat("%d:%02d", seconds / 60, seconds % 60);
}

const char* Describe(v1::StopReason reason) {
  switch (reason) {
    case v1::STOP_REASON_MAX_EPOCHS:
      return "all epochs done";
    case v1::STOP_REASON_MAX_DURATION:
      return "the time was up";
    case v1::STOP_REASON_MAX_STEPS:
      return "all steps done";
    case v1::STOP_REASON_EARLY_STOPPING:
      return "validation no longer improved";
    default:
      return "unknown reason";
  }
}

// "  81000 rows/s  0:12 elapsed, 0:48 left".
std::string PaceText(const v1::TrainProgress& progress, const char* what) {
  std::string text;
  if (progress.rows_per_second() > 0)
    text = absl::StrFormat("  %.0f %s/s", progress.rows_per_second(), what);
  absl::StrAppend(&text, "  ", Clock(progress.elapsed().seconds()), " elapsed");
  if (progress.has_remaining())
    absl::StrAppendFormat(&text, ", %s left", Clock(progress.remaining().seconds()));
  return text;
}

std::string FigureLine(const char* name, const v1::LogDensityFigure& figure) {
  return absl::StrFormat(
      "  %-20s %10.4f ± %.4f nats per row (%10.4f in standardised units), %d rows\n", name,
      figure.user_nats(), figure.standard_error(), figure.standardised_nats(), figure.rows());
}

std::string TrainingText(const v1::TrainingReport& report) {
  std::string text = absl::StrFormat(
      "  rows                 %d for fitting, %d for validation, %d for calibration\n"
      "  training             %d epochs, %d steps in %.1f s: %s\n",
      report.fit_rows(), report.validation_rows(), report.calibration_rows(), report.epochs(),
      report.steps(), report.seconds(), Describe(report.stop_reason()));
  text += FigureLine("train", report.train());
  text += FigureLine("validation", report.validation());
  text += FigureLine("held out", report.held_out());
  if (report.gaussian_held_out().rows() == 0) return text;
  return text + FigureLine("Gaussian, held out", report.gaussian_held_out());
}

// Of a fit to a density.
std::string FitText(const v1::TrainingReport& report) {
  const v1::DensityFit& fit = report.density_fit();
  return absl::StrFormat(
      "  fit                  %d steps in %.1f s: %s\n"
      "  ln of the integral   %10.4f ± %.4f, by %d samples of the model\n"
      "  divergence           %10.4f ± %.4f nats, of the density from the model\n"
      "  effective samples    %10.1f %%\n",
      report.steps(), report.seconds(), Describe(report.stop_reason()), fit.log_normaliser(),
      fit.log_normaliser_error(), fit.samples(), fit.divergence(), fit.divergence_error(),
      100 * fit.effective_sample_fraction());
}

}  // namespace

void LiveLine::Show(const std::string& text) {
  if (is_terminal_) {
    out_ << "\r\x1b[K" << text << std::flush;
  } else {
    out_ << text << '\n' << std::flush;
  }
  in_line_ = is_terminal_;
}

void LiveLine::End() {
  if (in_line_) out_ << '\n' << std::flush;
  in_line_ = false;
}

std::string ProgressLine(const v1::TrainProgress& progress) {
  std::string line = absl::StrCat("epoch ", progress.epoch());
  if (!std::isnan(progress.validation_nats())) {
    absl::StrAppendFormat(&line, "  train %.3f  validation %.3f (best %.3f) nats",
                          progress.train_nats(), progress.validation_nats(),
                          progress.best_validation_nats());
  }
  return line + PaceText(progress, "rows");
}

std::string FitLine(const v1::TrainProgress& progress) {
  std::string line = absl::StrCat("step ", progress.step());
  if (!std::isnan(progress.train_nats())) {
    absl::StrAppendFormat(&line, "  mean of ln p - ln q %.3f (best %.3f) nats",
                          progress.train_nats(), progress.best_validation_nats());
  }
  return line + PaceText(progress, "points");
}

void ProgressPrinter::Print(const v1::TrainResponse& event, absl::Time now) {
  if (event.has_accepted()) {
    of_density_ = event.accepted().rows() == 0;
    out_ << "accepted ";
    of_density_ ? out_ << "a density" : out_ << event.accepted().rows() << " rows";
    out_ << " of " << event.accepted().cols() << " columns\n" << std::flush;
  } else if (event.has_progress() && (line_.is_terminal() || now - last_ >= kInterval)) {
    line_.Show(of_density_ ? FitLine(event.progress()) : ProgressLine(event.progress()));
    last_ = now;
  }
}

void RowProgress::Print(std::int64_t rows, absl::Time now) {
  if (now - last_ < kInterval) return;
  last_ = now;
  const absl::Duration elapsed = now - begin_;
  const double rate = static_cast<double>(rows) / absl::ToDoubleSeconds(elapsed);
  line_.Show(absl::StrFormat("%s %d rows  %.*f rows/s  %s elapsed", done_, rows, rate < 10 ? 2 : 0,
                             rate, Clock(absl::ToInt64Seconds(elapsed))));
}

std::int64_t PixelsOf(const v1::FlowSpec& flow) {
  return std::int64_t{flow.image().height()} * flow.image().width() * flow.image().channels();
}

std::string ReportText(const v1::TrainingReport& report, std::int64_t pixels) {
  std::string text = report.has_density_fit() ? FitText(report) : TrainingText(report);
  if (pixels > 0)
    absl::StrAppend(&text, absl::StrFormat("  %-20s %.4f bits per dimension, held out\n", "images",
                                           -report.held_out().user_nats() / std::numbers::ln2 /
                                               static_cast<double>(pixels)));
  for (const std::string& warning : report.warnings())
    absl::StrAppend(&text, "  warning: ", warning, "\n");
  return text;
}

}  // namespace millrace::cli
