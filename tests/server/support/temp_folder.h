// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_TESTS_SERVER_SUPPORT_TEMP_FOLDER_H_
#define MILLRACE_TESTS_SERVER_SUPPORT_TEMP_FOLDER_H_

#include <string>

namespace millrace {

// A new folder, removed with all it holds.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void WriteText(const std::string& path, const std::string& text);

}  // namespace millrace

#endif  // MILLRACE_TESTS_SERVER_SUPPORT_TEMP_FOLDER_H_
