// SPDX-License-Identifier: Apache-2.0
// Pictures of rows that are images.
#ifndef MILLRACE_CLIENT_CLI_COMMANDS_PICTURE_FLAGS_H_
#define MILLRACE_CLIENT_CLI_COMMANDS_PICTURE_FLAGS_H_

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

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

  // Opens a picture of `count` images of `images`, 0 where that is not known yet; before anything
  // is computed, so that a path that cannot be written and a picture too large are known at once.
  absl::StatusOr<std::unique_ptr<TableWriter>> Open(const OutputFlags& output,
                                                    const ImageShape& images, std::int64_t count,
                                                    int default_across) const;

  // All rows that are left, at least one, for a picture with so many images of each.
  // RESOURCE_EXHAUSTED where they are too many.
  absl::StatusOr<client::Table> Read(TableReader& reader, const OutputFlags& output,
                                     const ImageShape& images, int images_per_row) const;
};

// Rows [begin, begin + count) of a table.
client::Table Slice(const client::Table& table, std::int64_t begin, std::int64_t count);

// Adds rows that a server sent to a picture of images of `images`. INTERNAL for rows of another
// size.
absl::Status Show(const client::Table& rows, const ImageShape& images, TableWriter& picture);

// What a picture's images are, on standard output, which the picture leaves free: a CSV.
absl::Status Tell(std::vector<OutputColumn> columns, const std::vector<double>& values);

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_COMMANDS_PICTURE_FLAGS_H_
