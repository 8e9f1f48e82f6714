// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_SERVER_APP_BUILD_INFO_H_
#define MILLRACE_SERVER_APP_BUILD_INFO_H_

#include <string>

namespace millrace {

// What runs, as --version, the log and /metrics say it.
struct BuildInfo {
  std::string version;          // of the program: "0.1.0"
  std::string instruction_set;  // of the library that computes: "x86-64-v3"
};

}  // namespace millrace

#endif  // MILLRACE_SERVER_APP_BUILD_INFO_H_
