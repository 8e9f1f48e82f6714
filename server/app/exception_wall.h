// SPDX-License-Identifier: Apache-2.0
// Where exceptions of libraries end. We throw nothing ourselves.
#ifndef MILLRACE_SERVER_APP_EXCEPTION_WALL_H_
#define MILLRACE_SERVER_APP_EXCEPTION_WALL_H_

#include <exception>
#include <new>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace millrace {

// Runs `body`; what it throws becomes RESOURCE_EXHAUSTED (out of memory) or INTERNAL (all else).
inline absl::Status BehindExceptionWall(absl::FunctionRef<absl::Status()> body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("the server is out of memory");
  } catch (const std::exception& exception) {
    return absl::InternalError(absl::StrCat("unexpected exception: ", exception.what()));
  } catch (...) {
    return absl::InternalError("unexpected exception");
  }
}

}  // namespace millrace

#endif  // MILLRACE_SERVER_APP_EXCEPTION_WALL_H_
