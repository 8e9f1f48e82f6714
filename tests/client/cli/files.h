// SPDX-License-Identifier: Apache-2.0
// Files that a test writes and reads.
#ifndef MILLRACE_TESTS_CLIENT_CLI_FILES_H_
#define MILLRACE_TESTS_CLIENT_CLI_FILES_H_

#include <gtest/gtest.h>
#include <unistd.h>
#include <zip.h>
#include <zlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace millrace::cli {

// A folder of its own, deleted at the end.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = ::testing::TempDir() + "/millrace_XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }

  std::string Path(const std::string& name) const { return path_ + "/" + name; }

  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(Path(name), std::ios::binary) << bytes;
    return Path(name);
  }
  std::string WriteGzip(const std::string& name, const std::string& bytes) const {
    const gzFile file = gzopen(Path(name).c_str(), "wb");
    gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(file);
    return Path(name);
  }
  std::string WriteZip(const std::string& name,
                       const std::vector<std::pair<std::string, std::string>>& entries) const {
    zip_t* archive = zip_open(Path(name).c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
    for (const auto& [entry, bytes] : entries) {
      zip_file_add(archive, entry.c_str(),
                   zip_source_buffer(archive, bytes.data(), bytes.size(), 0), 0);
    }
    EXPECT_EQ(zip_close(archive), 0);
    return Path(name);
  }
  std::string Read(const std::string& name) const {
    std::ifstream in(Path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  std::string path_;
};

// An .npy file of version 1.0 with this dictionary and these bytes of elements.
inline std::string Npy(const std::string& dictionary, const std::string& elements) {
  const std::string text = dictionary + "\n";
  std::string bytes = "\x93NUMPY";
  bytes +=
      {'\x01', '\x00', static_cast<char>(text.size() & 255), static_cast<char>(text.size() >> 8)};
  return bytes + text + elements;
}

template <typename T>
std::string Bytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace millrace::cli

#endif  // MILLRACE_TESTS_CLIENT_CLI_FILES_H_
