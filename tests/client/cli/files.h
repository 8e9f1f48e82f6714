// SPDX-License-Identifier: Apache-2.0
// Files that a test writes and reads.
#ifndef MILLRACE_TESTS_CLIENT_CLI_FILES_H_
#define MILLRACE_TESTS_CLIENT_CLI_FILES_H_

#include <gtest/gtest.h>
#include <unistd.h>
#include <zip.h>
#include <zlib.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/io/file_error.h"
#include "client/cli/io/table_reader.h"
#include "client/table.h"

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

// All rows, read in pieces of at most two.
inline absl::StatusOr<client::Table> ReadAll(TableReader& reader) {
  client::Table all{reader.column_names(), 0, reader.cols(), {}};
  while (true) {
    auto piece = reader.Read(2);
    if (!piece.ok()) return piece.status();
    if (piece->rows == 0) return all;
    all.rows += piece->rows;
    all.values.insert(all.values.end(), piece->values.begin(), piece->values.end());
  }
}
inline absl::StatusOr<client::Table> ReadAll(const std::string& path,
                                             const ReadOptions& options = {}) {
  auto reader = OpenTable(path, options);
  if (!reader.ok()) return reader.status();
  return ReadAll(**reader);
}

// The message of an error, which must lie in a file.
template <typename T>
std::string ErrorOf(const absl::StatusOr<T>& result) {
  EXPECT_TRUE(IsFileError(result.status())) << result.status();
  return std::string(result.status().message());
}

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

// An IDX file of these dimensions, element type and elements.
inline std::string Idx(const std::vector<std::uint32_t>& dims, const std::string& elements,
                       unsigned type = 8) {
  std::string bytes = {'\0', '\0', static_cast<char>(type), static_cast<char>(dims.size())};
  for (const std::uint32_t dim : dims) {
    for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(dim >> shift);
  }
  return bytes + elements;
}

}  // namespace millrace::cli

#endif  // MILLRACE_TESTS_CLIENT_CLI_FILES_H_
