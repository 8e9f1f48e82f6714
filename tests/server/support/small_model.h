// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_TESTS_SERVER_SUPPORT_SMALL_MODEL_H_
#define MILLRACE_TESTS_SERVER_SUPPORT_SMALL_MODEL_H_

#include <cstdint>

#include "core/model.h"

namespace millrace {

// An untrained model of the columns x and y (continuous), k (constant 7) and u (bounds 0 and 1). 99
// calibration rows, false-positive rate 0.05. Its chain is triangular in column order.
Model SmallModel(std::uint64_t seed = 1);

}  // namespace millrace

#endif  // MILLRACE_TESTS_SERVER_SUPPORT_SMALL_MODEL_H_
