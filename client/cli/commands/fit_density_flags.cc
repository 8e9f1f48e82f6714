// SPDX-License-Identifier: Apache-2.0
#include "client/cli/commands/fit_density_flags.h"

#include <cstdint>
#include <limits>

#include "client/cli/commands/command.h"
#include "client/cli/commands/flow_flags.h"

namespace millrace::cli {

void AddFitDensityFlags(CLI::App& command, v1::FitDensitySpec& spec) {
  constexpr char kGroup[] = "Fitting (whatever is not given is chosen by the server)";
  AddFlowFlags(command, *spec.mutable_flow());
  using Options = v1::FitDensityOptions;
  Options* options = spec.mutable_options();
  const auto add_count = [&](const char* name, const char* what, auto set) {
    AddInteger<std::uint32_t>(command, name, what, 0, std::numeric_limits<std::uint32_t>::max(),
                              [options, set](std::uint32_t value) { (options->*set)(value); })
        ->group(kGroup);
  };
  const auto add_real = [&](const char* name, const char* what, auto set) {
    command
        .add_option_function<double>(
            name, [options, set](double value) { (options->*set)(value); }, what)
        ->group(kGroup);
  };
  add_count("--batch-size", "Points per step", &Options::set_batch_size);
  add_count("--steps", "Steps", &Options::set_steps);
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
  add_count("--annealing-steps", "Steps over which the density sharpens",
            &Options::set_annealing_steps);
  add_real("--ema-decay", "Averaging of the weights; 0 for none", &Options::set_ema_decay);
  add_real("--clip-norm", "Longest gradient; 0 for no limit", &Options::set_gradient_clip_norm);
  add_count("--samples", "Samples that compare the model with the density", &Options::set_samples);
  AddInteger<std::uint64_t>(command, "--seed", "Seed of points and weights", 0,
                            std::numeric_limits<std::uint64_t>::max(),
                            [options](std::uint64_t seed) { options->set_seed(seed); })
      ->group(kGroup);
  add_real("--false-positive-rate", "Rate at which `score` flags anomalies by default",
           &Options::set_false_positive_rate);
}

}  // namespace millrace::cli
