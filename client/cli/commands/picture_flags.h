// SPDX-License-Identifier: Apache-2.0
// Pictures of rows that are images.
#ifndef MILLRACE_CLIENT_CLI_COMMANDS_PICTURE_FLAGS_H_
#define MILLRACE_CLIENT_CLI_COMMANDS_PICTURE_FLAGS_H_

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
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
  // INVALID_ARGUMENT for one of these flags where it is none, but for --image where the command
  // has another use for it.
  absl::StatusOr<bool> Wanted(const OutputFlags& output, bool shape_has_use = false) const;

  // The size of the images that rows of so many numbers are: what --image says, else `read`, that
  // of the input's images, else the model's. INVALID_ARGUMENT where none is known or does not fit.
  absl::StatusOr<ImageShape> ShapeFor(int cols, const v1::Model& model,
                                      const std::optional<ImageShape>& read = std::nullopt) const;

  // Adds rows that a server sent to a picture of images of `images`, which is opened before the
  // first. INTERNAL for rows of another size.
  absl::Status Write(const OutputFlags& output, const ImageShape& images, int default_across,
                     const client::Table& rows, std::unique_ptr<TableWriter>& writer) const;
};

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_COMMANDS_PICTURE_FLAGS_H_
