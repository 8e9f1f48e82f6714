// SPDX-License-Identifier: Apache-2.0
// Golden cases of tests/golden: what their files say, as flows and points.
#ifndef MILLRACE_TESTS_CORE_FLOW_GOLDEN_CASE_H_
#define MILLRACE_TESTS_CORE_FLOW_GOLDEN_CASE_H_

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/rows.h"
#include "core/flow/flow.h"
#include "tests/support/runner.h"

namespace millrace {

// The cases of tests/golden/<file>; none where it cannot be read.
std::vector<nlohmann::ordered_json> ReadGoldenCases(const std::string& file);

class GoldenCase {
 public:
  // Keeps a reference. Failures are reported as those of the test that runs.
  explicit GoldenCase(const nlohmann::ordered_json& json);

  std::string name() const { return json_.at("name"); }
  const Flow& flow() const { return *flow_; }
  const Point& point() const { return point_; }
  std::uint64_t seed() const { return json_.at("seed"); }
  bool has(const char* key) const { return json_.contains(key); }
  Rows<double> rows(const char* key, int cols) const;
  std::vector<double> numbers(const char* key) const { return json_.at(key); }
  double derivative(const std::string& of) const { return json_.at("derivatives").at(of); }

  // Numbers on (-1, 1) by their places, in the places where parameters of the flow's layout may be
  // other than zero.
  std::vector<double> Direction(std::uint64_t seed) const;
  // Such numbers for rows: stream `index` after those of the parameters.
  Rows<double> Direction(std::uint64_t seed, int index, int rows, int cols) const;

 private:
  // [begin, end) of each row of a parameter.
  using Spans = std::vector<std::vector<int>>;

  std::vector<Spans> ReadSpans() const;
  std::vector<double> DrawnParameters() const;
  std::vector<double> ListedParameters() const;

  const nlohmann::ordered_json& json_;
  std::shared_ptr<const Flow> flow_;
  std::vector<Spans> spans_;  // of the entries of the layout; empty where parameters are listed
  Point point_;
};

}  // namespace millrace

#endif  // MILLRACE_TESTS_CORE_FLOW_GOLDEN_CASE_H_
