// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_TESTS_SERVER_SUPPORT_OWN_STATUS_H_
#define MILLRACE_TESTS_SERVER_SUPPORT_OWN_STATUS_H_

#include "absl/status/status.h"

namespace millrace {

// A status that shares nothing with `status`. Debian's absl counts references where ThreadSanitizer
// does not see it, so a copy that goes to another thread looks like a race.
inline absl::Status OwnStatus(const absl::Status& status) {
  return absl::Status(status.code(), status.message());
}

}  // namespace millrace

#endif  // MILLRACE_TESTS_SERVER_SUPPORT_OWN_STATUS_H_
