// SPDX-License-Identifier: Apache-2.0
#include "client/cli/commands/train_flags.h"

#include <cstdint>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/cli/commands/command.h"
#include "client/cli/commands/flow_flags.h"
#include "client/cli/io/number.h"

namespace millrace::cli {
namespace {

// Adds --name, a number of any size whose value goes to `set`.
template <typename T, typename Set>
void AddCount(CLI::App& command, const char* group, const char* name, const char* what, Set set) {
  AddInteger<T>(command, name, what, 0, std::numeric_limits<T>::max(), set)->group(group);
}

absl::StatusOr<v1::ColumnSpec*> Find(v1::TrainSpec& spec, const std::string& name) {
  for (v1::ColumnSpec& column : *spec.mutable_columns()) {
    if (column.name() == name) return &column;
  }
  return absl::InvalidArgumentError(absl::StrCat("the table has no column '", name, "'"));
}

bool SetBounds(const std::string& text, v1::ColumnSpec& column) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) return false;
  const std::string low = text.substr(0, colon);
  const std::string high = text.substr(colon + 1);
  double value = 0;
  if (!low.empty()) {
    if (!ParseNumber(low, value)) return false;
    column.set_lower_bound(value);
  }
  if (!high.empty()) {
    if (!ParseNumber(high, value)) return false;
    column.set_upper_bound(value);
  }
  return true;
}

bool SetBinWidth(const std::string& text, v1::ColumnSpec& column) {
  double value = 0;
  if (!ParseNumber(text, value)) return false;
  column.set_bin_width(value);
  return true;
}

// Sets what texts NAME=VALUE say; `form` is what VALUE looks like.
template <typename Set>
absl::Status SetForColumns(v1::TrainSpec& spec, const std::vector<std::string>& texts,
                           const char* form, Set set) {
  for (const std::string& text : texts) {
    const std::size_t equals = text.rfind('=');
    const auto column = Find(spec, text.substr(0, equals));
    if (!column.ok()) return column.status();
    if (equals == std::string::npos || !set(text.substr(equals + 1), **column)) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", text, "' is not NAME=VALUE with VALUE ", form));
    }
  }
  return absl::OkStatus();
}

// The first columns are pixels, and the flow is one of images unless it is told to be another.
void SetImage(const ImageShape& shape, v1::TrainSpec& spec) {
  for (int c = 0; c < shape.cols(); ++c) spec.mutable_columns(c)->set_type(v1::COLUMN_TYPE_PIXEL);
  const v1::FlowSpec& flow = spec.flow();
  const v1::Architecture architecture = flow.stack().architecture();
  const bool of_images = architecture == v1::ARCHITECTURE_UNSPECIFIED ||
                         architecture == v1::ARCHITECTURE_GLOW ||
                         architecture == v1::ARCHITECTURE_REALNVP_IMAGE;
  if (flow.has_chain() || flow.has_image() || !of_images) return;
  v1::ImageShape* image = spec.mutable_flow()->mutable_image();
  image->set_height(static_cast<std::uint32_t>(shape.height));
  image->set_width(static_cast<std::uint32_t>(shape.width));
  image->set_channels(static_cast<std::uint32_t>(shape.channels));
}

}  // namespace

void TrainFlags::AddTo(CLI::App& command) {
  AddFlowFlags(command, *spec_.mutable_flow());
  AddTraining(command);
  AddColumns(command);
}

void TrainFlags::AddTraining(CLI::App& command) {
  constexpr char kGroup[] = "Training (whatever is not given is chosen from the table)";
  v1::TrainingOptions* options = spec_.mutable_options();
  const auto add_count = [&](const char* name, const char* what, auto set) {
    AddCount<std::uint32_t>(command, kGroup, name, what,
                            [options, set](std::uint32_t value) { (options->*set)(value); });
  };
  const auto add_real = [&](const char* name, const char* what, auto set) {
    command
        .add_option_function<double>(
            name, [options, set](double value) { (options->*set)(value); }, what)
        ->group(kGroup);
  };
  using Options = v1::TrainingOptions;
  add_count("--batch-size", "Rows per step", &Options::set_batch_size);
  add_count("--max-epochs", "Most passes over the rows", &Options::set_max_epochs);
  AddDuration(command, "--max-duration", "Longest time for fitting, e.g. 90s, 10m", [options] {
    return options->mutable_max_duration();
  })->group(kGroup);
  add_real("--learning-rate", "Peak step size of Adam", &Options::set_learning_rate);
  AddChoice<v1::LearningRateSchedule>(command, "--schedule", "How the step size changes",
                                      {{"constant", v1::LEARNING_RATE_SCHEDULE_CONSTANT},
                                       {"cosine", v1::LEARNING_RATE_SCHEDULE_COSINE}},
                                      [options](auto schedule) { options->set_schedule(schedule); })
      ->group(kGroup);
  add_count("--warmup-steps", "Steps over which the step size rises", &Options::set_warmup_steps);
  add_real("--weight-decay", "Decoupled weight decay", &Options::set_weight_decay);
  add_real("--ema-decay", "Averaging of the weights; 0 for none", &Options::set_ema_decay);
  add_real("--clip-norm", "Longest gradient; 0 for no limit", &Options::set_gradient_clip_norm);
  add_count("--patience", "Epochs without improvement before stopping", &Options::set_patience);
  add_real("--validation-fraction", "Share of the rows for early stopping",
           &Options::set_validation_fraction);
  add_real("--calibration-fraction", "Share of the rows for calibration",
           &Options::set_calibration_fraction);
  AddCount<std::uint64_t>(command, kGroup, "--seed", "Seed of split, weights and shuffling",
                          [options](std::uint64_t seed) { options->set_seed(seed); });
  add_real("--false-positive-rate", "Rate at which `score` flags anomalies by default",
           &Options::set_false_positive_rate);
}

void TrainFlags::AddColumns(CLI::App& command) {
  constexpr char kGroup[] = "Columns (nameless ones are x0, x1, ...)";
  command
      .add_option_function<std::string>(
          "--image", [](const std::string&) {},
          "The first columns are pixels of 8 bits of an image of this size, e.g. 28x28 (grey) or "
          "32x32x3; otherwise that of the input's images")
      ->check([this](const std::string& text) {
        const auto parsed = ParseImageShape(text);
        if (parsed.ok()) image_ = *parsed;
        return std::string(parsed.status().message());
      })
      ->type_name("HxW[xC]")
      ->group(kGroup);
  AddNames(command, "--discrete", "Columns whose values lie on a lattice", "NAME,...", discrete_)
      ->group(kGroup);
  AddNames(command, "--continuous", "Columns with a density, even where values repeat", "NAME,...",
           continuous_)
      ->group(kGroup);
  AddNames(command, "--bounds", "Values lie between these; either may be left out",
           "NAME=LOW:HIGH,...", bounds_)
      ->group(kGroup);
  AddNames(command, "--bin-width", "Distance of neighbouring values of a discrete column",
           "NAME=WIDTH,...", bin_widths_)
      ->group(kGroup);
}

absl::StatusOr<v1::TrainSpec> TrainFlags::SpecFor(const std::string& model,
                                                  const std::vector<std::string>& names, int cols,
                                                  const std::optional<ImageShape>& image) const {
  v1::TrainSpec spec = spec_;
  spec.set_name(model);
  const std::optional<ImageShape>& shape = image_ ? image_ : image;
  const bool flagged =
      !discrete_.empty() || !continuous_.empty() || !bounds_.empty() || !bin_widths_.empty();
  if (names.empty() && !flagged && !shape) return spec;
  for (const std::string& name : NamesOf(names, cols)) spec.add_columns()->set_name(name);
  if (shape) {
    if (shape->cols() > cols)
      return absl::InvalidArgumentError(absl::StrCat("images of ", ToText(*shape), " have ",
                                                     shape->cols(), " numbers, the table has ",
                                                     cols, " columns"));
    SetImage(*shape, spec);
  }
  for (const auto& [list, type] : {std::pair(&discrete_, v1::COLUMN_TYPE_DISCRETE),
                                   std::pair(&continuous_, v1::COLUMN_TYPE_CONTINUOUS)}) {
    for (const std::string& name : *list) {
      const auto column = Find(spec, name);
      if (!column.ok()) return column.status();
      (*column)->set_type(type);
    }
  }
  if (absl::Status status = SetForColumns(spec, bounds_, "LOW:HIGH", SetBounds); !status.ok())
    return status;
  if (absl::Status status = SetForColumns(spec, bin_widths_, "a number", SetBinWidth); !status.ok())
    return status;
  return spec;
}

}  // namespace millrace::cli
