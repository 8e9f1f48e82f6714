// SPDX-License-Identifier: Apache-2.0
#include "tests/server/support/conditional_model.h"

#include "core/flow/flow.h"
#include "tests/server/support/small_model.h"
#include "tests/support/random_parameters.h"

namespace millrace {

Model ConditionalModel() {
  Model model = SmallModel();
  model.context =
      *ContextModel::FromConditions({{.name = "c", .position = 0, .mean = 1.0, .deviation = 2.0},
                                     {.name = "label", .position = 3, .categories = {1, 2, 5}}},
                                    model.columns);
  model.spec.context_dim = model.context.dim();
  const auto flow = Flow::Create(model.spec);
  model.parameters = AsFloats(RandomParameters(**flow, 4));
  return model;
}

}  // namespace millrace
