// SPDX-License-Identifier: Apache-2.0
#include "client/cli/commands/picture_flags.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/io/png_writer.h"

namespace millrace::cli {

void PictureFlags::AddTo(CLI::App& command, const std::string& image_default,
                         const std::string& across_default) {
  constexpr char kGroup[] = "Pictures (of models of images, to an --output that ends in .png)";
  command
      .add_option_function<std::string>(
          "--image", [](const std::string&) {},
          absl::StrCat("Size of an image, e.g. 28x28 (grey) or 32x32x3; ", image_default))
      ->check([this](const std::string& text) {
        const auto parsed = ParseImageShape(text);
        if (parsed.ok()) shape = *parsed;
        return std::string(parsed.status().message());
      })
      ->type_name("HxW[xC]")
      ->group(kGroup);
  AddInteger<int>(command, "--across", absl::StrCat("Images side by side; ", across_default), 1,
                  1 << 20, [this](int value) { across = value; })
      ->group(kGroup);
}

absl::StatusOr<bool> PictureFlags::Wanted(const OutputFlags& output, bool shape_has_use) const {
  const bool wanted = output.format == Format::kAuto && absl::EndsWith(output.path, ".png");
  if (!wanted && ((shape && !shape_has_use) || across > 0)) {
    return absl::InvalidArgumentError(
        "--image and --across are for pictures; name an --output that ends in .png");
  }
  return wanted;
}

absl::StatusOr<ImageShape> PictureFlags::ShapeFor(int cols, const v1::Model& model,
                                                  const std::optional<ImageShape>& read) const {
  std::optional<ImageShape> chosen = shape ? shape : read;
  if (!chosen && model.flow().has_image()) {
    const v1::ImageShape& image = model.flow().image();
    chosen = {static_cast<int>(image.height()), static_cast<int>(image.width()),
              static_cast<int>(image.channels())};
  }
  if (!chosen)
    return absl::InvalidArgumentError(absl::StrCat("model ", model.name(),
                                                   " does not tell the size of an image of ", cols,
                                                   " numbers; name it with --image HxW or HxWxC"));
  if (chosen->cols() != cols)
    return absl::InvalidArgumentError(absl::StrCat("images of ", ToText(*chosen), " have ",
                                                   chosen->cols(), " numbers, the rows ", cols,
                                                   "; name their size with --image"));
  if (chosen->channels != 1 && chosen->channels != 3)
    return absl::InvalidArgumentError(absl::StrCat("images of ", ToText(*chosen), " have ",
                                                   chosen->channels,
                                                   " channels; a picture shows 1 or 3"));
  return *chosen;
}

absl::StatusOr<std::unique_ptr<TableWriter>> PictureFlags::Open(const OutputFlags& output,
                                                                const ImageShape& images,
                                                                std::int64_t count,
                                                                int default_across) const {
  const int columns = across > 0 ? across : default_across;
  if (absl::Status status = CheckPicture(output.path, images, count, columns); !status.ok())
    return status;
  return OpenPngWriter(output.path, images, columns);
}

absl::StatusOr<client::Table> PictureFlags::Read(TableReader& reader, const OutputFlags& output,
                                                 const ImageShape& images,
                                                 int images_per_row) const {
  const int columns = across > 0 ? across : images_per_row;
  client::Table all{reader.column_names(), 0, reader.cols(), {}};
  while (true) {
    const auto piece = reader.Read(kRowsPerPiece);
    if (!piece.ok()) return piece.status();
    if (piece->rows == 0) break;
    all.rows += piece->rows;
    absl::Status status = CheckPicture(output.path, images, all.rows * images_per_row, columns);
    if (!status.ok()) return status;
    all.values.insert(all.values.end(), piece->values.begin(), piece->values.end());
  }
  if (all.rows == 0) return absl::InvalidArgumentError("the table has no rows to show");
  return all;
}

client::Table Slice(const client::Table& table, std::int64_t begin, std::int64_t count) {
  const auto first = table.values.begin() + begin * table.cols;
  return {table.column_names, count, table.cols, {first, first + count * table.cols}};
}

absl::Status Show(const client::Table& rows, const ImageShape& images, TableWriter& picture) {
  if (rows.cols != images.cols())
    return absl::InternalError(absl::StrCat("the server sent rows of ", rows.cols,
                                            " columns for images of ", ToText(images)));
  return picture.Write(rows.values);
}

absl::Status Tell(std::vector<OutputColumn> columns, const std::vector<double>& values) {
  auto writer = OpenWriter("-", Format::kCsv, std::move(columns));
  if (!writer.ok()) return writer.status();
  absl::Status status = (*writer)->Write(values);
  return status.ok() ? (*writer)->Close() : status;
}

}  // namespace millrace::cli
