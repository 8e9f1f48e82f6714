// SPDX-License-Identifier: Apache-2.0
// Pictures of rows that are images.
#ifndef MILLRACE_CLIENT_CLI_COMMANDS_PICTURE_FLAGS_H_
#define MILLRACE_CLIENT_CLI_COMMANDS_PICTURE_FLAGS_H_

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/cli/commands/command.h"
#include "client/cli/io/image_shape.h"

namespace millrace::cli {

// --image and --across, of commands whose output may be a PNG.
struct PictureFlags {
  std::optional<ImageShape> shape;
  int across = 0;  // images side by side; 0: not given

  // The texts say what holds where they are not given.
  void AddTo(CLI::App& command, const std::string& image_default,
             const std::string& across_default);

  // Whether the output is a picture: a file whose name ends in .png, and no --format.
  // INVALID_ARGUMENT for one of these flags where it is none.
  absl::StatusOr<bool> Wanted(const OutputFlags& output) const;

  // The size of images of so many columns: what --image says, else `known`, that of the input's
  // images or of the model's. INVALID_ARGUMENT where neither is there or does not fit.
  absl::StatusOr<ImageShape> ShapeFor(int cols, const std::optional<ImageShape>& known) const;
};

// What a model's rows are images of, if they are.
std::optional<ImageShape> ShapeOf(const v1::Model& model);

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_COMMANDS_PICTURE_FLAGS_H_
