// SPDX-License-Identifier: Apache-2.0
#include "tests/server/support/small_model.h"

#include <memory>
#include <utility>
#include <vector>

#include "core/flow/flow.h"

namespace millrace {

Model SmallModel(std::uint64_t seed) {
  Model model;
  model.spec.dim = 3;
  model.spec.seed = seed;
  model.spec.stack = StackSpec{.layers = 2, .hidden_sizes = {8}, .mixing = Mixing::kNone};
  const auto flow = Flow::Create(model.spec);
  model.parameters = (*flow)->InitialParameters();

  std::vector<Column> columns(4);
  columns[0].name = "x";
  columns[1].name = "y";
  columns[1].mean = columns[1].center = 10.0;
  columns[1].deviation = columns[1].scale = 2.0;
  columns[2].name = "k";
  columns[2].type = ColumnType::kConstant;
  columns[2].constant = columns[2].mean = 7.0;
  columns[3].name = "u";
  columns[3].lower = 0.0;
  columns[3].upper = 1.0;
  model.columns = *ColumnModel::FromColumns(std::move(columns));

  for (int i = 0; i < 99; ++i) model.calibration.log_probs.push_back(-20.0 + 0.2 * i);
  model.calibration.false_positive_rate = 0.05;
  model.report.held_out = {.rows = 99, .mean = -4.0, .standard_error = 0.1};
  model.report.stop_reason = StopReason::kMaxEpochs;
  model.create_time_unix_micros = 1'700'000'000'000'000;
  return model;
}

}  // namespace millrace
