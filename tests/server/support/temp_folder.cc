// SPDX-License-Identifier: Apache-2.0
#include "tests/server/support/temp_folder.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"

namespace millrace {

TempFolder::TempFolder() {
  std::string pattern = testing::TempDir() + "millrace-XXXXXX";
  path_ = mkdtemp(pattern.data());
}

TempFolder::~TempFolder() { std::filesystem::remove_all(path_); }

void WriteText(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace millrace
