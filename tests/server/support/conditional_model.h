// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_TESTS_SERVER_SUPPORT_CONDITIONAL_MODEL_H_
#define MILLRACE_TESTS_SERVER_SUPPORT_CONDITIONAL_MODEL_H_

#include "core/model.h"

namespace millrace {

// SmallModel under two conditions: c, a number of mean 1 and deviation 2, and label, one of 1, 2
// and
// 5. They were the first and the fourth column of the table. The weights are random, so that both
// matter to every column.
Model ConditionalModel();

}  // namespace millrace

#endif  // MILLRACE_TESTS_SERVER_SUPPORT_CONDITIONAL_MODEL_H_
