// SPDX-License-Identifier: Apache-2.0
// Log-densities of many rows, summed up.
#ifndef MILLRACE_CORE_TRAIN_NATS_H_
#define MILLRACE_CORE_TRAIN_NATS_H_

#include <span>

#include "core/model.h"

namespace millrace {

// Mean of log_prob + offset over the rows of finite log_prob, which `rows` counts, and its standard
// error, 0 of fewer than two.
Nats NatsOf(std::span<const double> log_prob, double offset);

// Of flow - gaussian row by row; a mean of -infinity where the flow finds a row impossible that the
// Gaussian does not. Spans of the same size.
Nats Advantage(std::span<const double> flow, std::span<const double> gaussian);

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_NATS_H_
