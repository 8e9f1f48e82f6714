// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CLIENT_CLI_COMMANDS_TRAIN_FLAGS_H_
#define MILLRACE_CLIENT_CLI_COMMANDS_TRAIN_FLAGS_H_

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/io/image_shape.h"
#include "millrace/v1/train_messages.pb.h"

namespace millrace::cli {

// The flags of `millrace train` that say what to train and how, put straight into a TrainSpec.
class TrainFlags {
 public:
  void AddTo(CLI::App& command);

  // The spec for a table with these columns; `names` is empty for nameless columns. Columns are
  // listed where they have names or a flag speaks of one. The first columns are the pixels of an
  // image where --image says so or else `image`, the shape that the input is known to have; the
  // flow is then one of images, unless the flags name another. INVALID_ARGUMENT for a flag on an
  // unknown column.
  absl::StatusOr<v1::TrainSpec> SpecFor(const std::string& model,
                                        const std::vector<std::string>& names, int cols,
                                        const std::optional<ImageShape>& image) const;

 private:
  void AddTraining(CLI::App& command);
  void AddColumns(CLI::App& command);

  v1::TrainSpec spec_;
  std::optional<ImageShape> image_;
  std::vector<std::string> discrete_;
  std::vector<std::string> continuous_;
  std::vector<std::string> bounds_;      // NAME=LOW:HIGH, either number may be left out
  std::vector<std::string> bin_widths_;  // NAME=WIDTH
};

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_COMMANDS_TRAIN_FLAGS_H_
