// SPDX-License-Identifier: Apache-2.0
// millrace interpolate
#include <algorithm>
#include <limits>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/commands/column_split.h"
#include "client/cli/commands/command.h"
#include "client/cli/commands/condition_flags.h"
#include "client/cli/commands/picture_flags.h"
#include "client/cli/io/file_error.h"

namespace millrace::cli {
namespace {

struct Flags {
  ServerFlags server;
  ModelFlag model;
  InputFlags input;
  OutputFlags output;
  GivenFlag given;
  PictureFlags picture;
  client::InterpolateOptions options;
  std::vector<std::int64_t> rows = {0, 1};
};

// Rows `wanted` of the file, in that order.
absl::StatusOr<client::Table> PickRows(TableReader& reader,
                                       const std::vector<std::int64_t>& wanted) {
  client::Table ends{reader.column_names(), std::ssize(wanted), reader.cols(), {}};
  ends.values.resize(wanted.size() * static_cast<std::size_t>(reader.cols()));
  const std::int64_t last = *std::max_element(wanted.begin(), wanted.end());
  for (std::int64_t first = 0; first <= last;) {
    const auto piece = reader.Read(std::min(kRowsPerPiece, last - first + 1));
    if (!piece.ok()) return piece.status();
    if (piece->rows == 0) {
      return FileError(reader.Location(first),
                       absl::StrCat("ends before row ", last, " (counted from 0)"));
    }
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const std::int64_t r = wanted[i] - first;
      if (r < 0 || r >= piece->rows) continue;
      std::copy(piece->row(r).begin(), piece->row(r).end(),
                ends.values.begin() + static_cast<std::ptrdiff_t>(i) * reader.cols());
    }
    first += piece->rows;
  }
  return ends;
}

// The one condition under which both ends lie.
absl::StatusOr<client::Table> OneContext(client::Table context) {
  if (context.rows != 2) return context;
  if (!std::equal(context.row(0).begin(), context.row(0).end(), context.row(1).begin()))
    return absl::InvalidArgumentError(
        "the two rows lie under different conditions; name one with --given");
  context.rows = 1;
  context.values.resize(static_cast<std::size_t>(context.cols));
  return context;
}

double Place(const client::Table& path, std::int64_t r) {
  return static_cast<double>(r) / static_cast<double>(path.rows - 1);
}

absl::Status WritePath(const Flags& flags, const client::InterpolateResult& result) {
  std::vector<OutputColumn> columns = {{"t"}};
  for (std::string& name : NamesOf(result.path.column_names, result.path.cols)) {
    columns.push_back({std::move(name)});
  }
  columns.push_back({"log_prob"});
  auto writer = flags.output.Open(std::move(columns));
  if (!writer.ok()) return writer.status();
  std::vector<double> values;
  for (std::int64_t r = 0; r < result.path.rows; ++r) {
    values.push_back(Place(result.path, r));
    values.insert(values.end(), result.path.row(r).begin(), result.path.row(r).end());
    values.push_back(result.log_prob[static_cast<std::size_t>(r)]);
  }
  if (absl::Status status = (*writer)->Write(values); !status.ok()) return status;
  return (*writer)->Close();
}

// The path as a strip, unless --across asks for a grid, and on standard output its log-densities.
absl::Status WritePicture(const client::InterpolateResult& result, const ImageShape& shape,
                          TableWriter& picture) {
  absl::Status status = Show(result.path, shape, picture);
  if (status.ok()) status = picture.Close();
  if (!status.ok()) return status;
  std::vector<double> values;
  for (std::int64_t r = 0; r < result.path.rows; ++r) {
    values.push_back(Place(result.path, r));
    values.push_back(result.log_prob[static_cast<std::size_t>(r)]);
  }
  return Tell({{"t"}, {"log_prob"}}, values);
}

absl::Status Run(const Flags& flags) {
  const auto picture = flags.picture.Wanted(flags.output);
  if (!picture.ok()) return picture.status();
  auto reader = flags.input.Open();
  if (!reader.ok()) return reader.status();
  const auto ends = PickRows(**reader, flags.rows);
  if (!ends.ok()) return ends.status();
  const client::Client client(flags.server.options);
  const auto model = client.GetModel(flags.model.model);
  if (!model.ok()) return model.status();
  const auto split = ColumnSplit::For(*model, ends->column_names, ends->cols, flags.given.context);
  if (!split.ok()) return split.status();
  const auto context = OneContext(split->Context(*ends));
  if (!context.ok()) return context.status();
  const client::Table rows = split->Rows(*ends);
  ImageShape shape;
  std::unique_ptr<TableWriter> strip;
  if (*picture) {
    const auto chosen = flags.picture.ShapeFor(rows.cols, *model, (*reader)->image_shape());
    if (!chosen.ok()) return chosen.status();
    shape = *chosen;
    const int steps = flags.options.steps;
    auto opened = flags.picture.Open(flags.output, shape, steps, steps);
    if (!opened.ok()) return opened.status();
    strip = *std::move(opened);
  }
  const auto result =
      client.Interpolate({model->name(), model->version()}, rows, flags.options, *context);
  if (!result.ok()) return Locate(result.status(), **reader, flags.rows);
  return strip ? WritePicture(*result, shape, *strip) : WritePath(flags, *result);
}

}  // namespace

void AddInterpolateCommand(CLI::App& app, absl::Status& result) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "interpolate", "Walk from one row of a table to another through latent space");
  flags->model.AddTo(*command);
  flags->input.AddTo(*command);
  command
      ->add_option_function<std::string>(
          "--rows", [](const std::string&) {},
          "The two rows of the table, counted from 0; default: 0,1")
      ->check([flags](const std::string& text) -> std::string {
        const std::vector<std::string> parts = absl::StrSplit(text, ',');
        flags->rows.assign(2, -1);
        for (std::size_t i = 0; i < parts.size() && parts.size() == 2; ++i) {
          if (!absl::SimpleAtoi(parts[i], &flags->rows[i])) flags->rows[i] = -1;
        }
        return flags->rows[0] >= 0 && flags->rows[1] >= 0 ? ""
                                                          : "is not two row numbers such as 0,1";
      })
      ->type_name("I,J");
  AddInteger<int>(*command, "--steps", "Points on the path, both ends included", 2,
                  std::numeric_limits<int>::max(),
                  [flags](int steps) { flags->options.steps = steps; })
      ->default_str(absl::StrCat(flags->options.steps));
  AddChoice<v1::InterpolationMethod>(
      *command, "--method", "Default: spherical, linear where the base is uniform",
      {{"linear", v1::INTERPOLATION_METHOD_LINEAR},
       {"spherical", v1::INTERPOLATION_METHOD_SPHERICAL}},
      [flags](v1::InterpolationMethod method) { flags->options.method = method; });
  flags->given.AddTo(*command, "The condition of the path, instead of that of both rows");
  flags->server.AddTo(*command);
  flags->output.AddTo(*command);
  flags->picture.AddTo(*command, "default: that of the input's images, or of the model's",
                       "default: all");
  command->callback([flags, &result] { result = Run(*flags); });
}

}  // namespace millrace::cli
