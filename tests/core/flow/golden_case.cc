// SPDX-License-Identifier: Apache-2.0
#include "tests/core/flow/golden_case.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "core/io/flow_json.h"
#include "core/math/uniform.h"

namespace millrace {
namespace {

FlowSpec SpecOf(const nlohmann::ordered_json& json) {
  JsonReader reader;
  FlowSpec spec;
  reader.Read(json, spec);
  EXPECT_TRUE(reader.status().ok()) << reader.status();
  return spec;
}

double Signed(std::uint64_t seed, std::size_t entry, int row, int column) {
  return 2.0 * UniformAt(seed, static_cast<std::uint32_t>(entry + 1), row, column) - 1.0;
}

std::size_t PlaceOf(const Slice& slice, int row, int column) {
  return slice.offset + static_cast<std::size_t>(row) * slice.ld + column;
}

}  // namespace

std::vector<nlohmann::ordered_json> ReadGoldenCases(const std::string& file) {
  std::ifstream in(MILLRACE_SOURCE_DIR "/tests/golden/" + file);
  const auto document = nlohmann::ordered_json::parse(in, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return {};
  return document.at("cases");
}

GoldenCase::GoldenCase(const nlohmann::ordered_json& json)
    : json_(json), flow_(*Flow::Create(SpecOf(json.at("spec")))) {
  const bool listed = json_.at("parameters").is_object();
  if (!listed) spans_ = ReadSpans();
  point_ = {listed ? ListedParameters() : DrawnParameters(), rows("x", flow_->dim()),
            rows("context", flow_->spec().context_dim)};
}

Rows<double> GoldenCase::rows(const char* key, int cols) const {
  const auto& json = json_.at(key);
  Rows<double> rows(static_cast<int>(json.size()), cols);
  for (int r = 0; r < rows.rows(); ++r)
    for (int c = 0; c < cols; ++c) rows(r, c) = json.at(r).at(c);
  return rows;
}

std::vector<GoldenCase::Spans> GoldenCase::ReadSpans() const {
  const auto& given = json_.at("parameters");
  const auto& entries = flow_->layout().entries();
  EXPECT_EQ(given.size(), entries.size());
  std::vector<Spans> result;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Slice& slice = entries[i].slice;
    EXPECT_EQ(given.at(i).at("name"), entries[i].name);
    EXPECT_EQ(given.at(i).at("rows"), slice.rows) << entries[i].name;
    EXPECT_EQ(given.at(i).at("cols"), slice.cols) << entries[i].name;
    result.push_back(given.at(i).value("spans", Spans(slice.rows, {0, slice.cols})));
  }
  return result;
}

std::vector<double> GoldenCase::Direction(std::uint64_t seed) const {
  std::vector<double> values(flow_->layout().size());
  const auto& entries = flow_->layout().entries();
  for (std::size_t i = 0; i < entries.size(); ++i)
    for (int r = 0; r < entries[i].slice.rows; ++r)
      for (int c = spans_[i][r][0]; c < spans_[i][r][1]; ++c)
        values[PlaceOf(entries[i].slice, r, c)] = Signed(seed, i, r, c);
  return values;
}

Rows<double> GoldenCase::Direction(std::uint64_t seed, int index, int rows, int cols) const {
  Rows<double> values(rows, cols);
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < cols; ++c)
      values(r, c) = Signed(seed, flow_->layout().entries().size() + index, r, c);
  return values;
}

// Floats; biases and what has one row for all rows are wider than weights, and what counts as a
// variance is positive.
std::vector<double> GoldenCase::DrawnParameters() const {
  std::vector<double> values = Direction(seed());
  const double scale = json_.at("scale");
  for (std::size_t i = 0; i < spans_.size(); ++i) {
    const auto& [name, slice, decays, statistic, gain] = flow_->layout().entries()[i];
    const double size = scale * (slice.rows == 1 ? 0.8 : 1.2 / std::sqrt(std::max(slice.cols, 1)));
    const double centre = name.ends_with(".statistics") ? 1.0 : 0.0;
    for (int r = 0; r < slice.rows; ++r)
      for (int c = spans_[i][r][0]; c < spans_[i][r][1]; ++c) {
        double& value = values[PlaceOf(slice, r, c)];
        value = static_cast<float>(centre + size * value);
      }
  }
  return values;
}

std::vector<double> GoldenCase::ListedParameters() const {
  const auto& given = json_.at("parameters");
  std::vector<double> values(flow_->layout().size());
  EXPECT_EQ(given.size(), flow_->layout().entries().size());
  for (const auto& [name, slice, decays, statistic, gain] : flow_->layout().entries()) {
    const auto& own = given.at(name);
    EXPECT_EQ(own.size(), static_cast<std::size_t>(slice.rows) * slice.cols) << name;
    for (int r = 0; r < slice.rows; ++r)
      for (int c = 0; c < slice.cols; ++c)
        values[PlaceOf(slice, r, c)] = own.at(static_cast<std::size_t>(r) * slice.cols + c);
  }
  return values;
}

}  // namespace millrace
