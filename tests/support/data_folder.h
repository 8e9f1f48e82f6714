// SPDX-License-Identifier: Apache-2.0
// Where the real data sets are: tests that miss theirs skip.
#ifndef MILLRACE_TESTS_SUPPORT_DATA_FOLDER_H_
#define MILLRACE_TESTS_SUPPORT_DATA_FOLDER_H_

#include <cstdlib>
#include <filesystem>

namespace millrace {

inline std::filesystem::path DataFolder() {
  const char* folder = std::getenv("MILLRACE_DATA");
  return folder != nullptr ? std::filesystem::path(folder)
                           : std::filesystem::path(MILLRACE_SOURCE_DIR) / ".." / "shared" / "data";
}

}  // namespace millrace

#endif  // MILLRACE_TESTS_SUPPORT_DATA_FOLDER_H_
