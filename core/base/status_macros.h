// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_BASE_STATUS_MACROS_H_
#define MILLRACE_CORE_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns the status of `expression` from the enclosing function unless it is OK.
#define MILLRACE_RETURN_IF_ERROR(expression)                                  \
  do {                                                                        \
    if (absl::Status millrace_status_ = (expression); !millrace_status_.ok()) \
      return millrace_status_;                                                \
  } while (false)

#define MILLRACE_STATUS_CONCAT_INNER_(a, b) a##b
#define MILLRACE_STATUS_CONCAT_(a, b) MILLRACE_STATUS_CONCAT_INNER_(a, b)

// Declares or assigns `lhs` from a StatusOr, or returns its status.
#define MILLRACE_ASSIGN_OR_RETURN(lhs, expression)                                            \
  MILLRACE_ASSIGN_OR_RETURN_IMPL_(MILLRACE_STATUS_CONCAT_(millrace_statusor_, __LINE__), lhs, \
                                  expression)
#define MILLRACE_ASSIGN_OR_RETURN_IMPL_(temporary, lhs, expression) \
  auto temporary = (expression);                                    \
  if (!temporary.ok()) return std::move(temporary).status();        \
  lhs = *std::move(temporary)

#endif  // MILLRACE_CORE_BASE_STATUS_MACROS_H_
