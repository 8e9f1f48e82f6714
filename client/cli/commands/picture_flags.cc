// SPDX-License-Identifier: Apache-2.0
#include "client/cli/commands/picture_flags.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

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

absl::StatusOr<bool> PictureFlags::Wanted(const OutputFlags& output) const {
  const bool wanted = output.format == Format::kAuto && absl::EndsWith(output.path, ".png");
  if (!wanted && (shape || across > 0)) {
    return absl::InvalidArgumentError(
        "--image and --across are for pictures; name an --output that ends in .png");
  }
  return wanted;
}

absl::StatusOr<ImageShape> PictureFlags::ShapeFor(int cols,
                                                  const std::optional<ImageShape>& known) const {
  const std::optional<ImageShape>& chosen = shape ? shape : known;
  if (!chosen) {
    return absl::InvalidArgumentError(
        absl::StrCat("a picture needs the size of an image; name it with --image HxW or HxWxC, for "
                     "the ",
                     cols, " columns of the model"));
  }
  if (chosen->cols() != cols) {
    return absl::InvalidArgumentError(absl::StrCat("images of ", ToText(*chosen), " have ",
                                                   chosen->cols(), " numbers, the model has ", cols,
                                                   " columns; name their size with --image"));
  }
  if (chosen->channels != 1 && chosen->channels != 3)
    return absl::InvalidArgumentError(absl::StrCat("images of ", ToText(*chosen), " have ",
                                                   chosen->channels,
                                                   " channels; a picture shows 1 or 3"));
  return *chosen;
}

std::optional<ImageShape> ShapeOf(const v1::Model& model) {
  if (!model.flow().has_image()) return std::nullopt;
  const v1::ImageShape& image = model.flow().image();
  return ImageShape{static_cast<int>(image.height()), static_cast<int>(image.width()),
                    static_cast<int>(image.channels())};
}

}  // namespace millrace::cli
