// SPDX-License-Identifier: Apache-2.0
// OpenZipEntry: the arrays of an .npz archive are its entries <key>.npy.
#include <zip.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/cli/io/file_error.h"
#include "client/cli/io/input.h"

namespace millrace::cli {
namespace {

using Archive = std::unique_ptr<zip_t, decltype(&zip_discard)>;
using Entry = std::unique_ptr<zip_file_t, decltype(&zip_fclose)>;

class ZipSource : public ByteSource {
 public:
  ZipSource(Archive archive, Entry entry)
      : archive_(std::move(archive)), entry_(std::move(entry)) {}

  absl::StatusOr<std::size_t> Read(std::span<char> buffer) override {
    const zip_int64_t got = zip_fread(entry_.get(), buffer.data(), buffer.size());
    if (got < 0) {
      return absl::DataLossError(
          absl::StrCat("the archive is damaged: ", zip_file_strerror(entry_.get())));
    }
    return static_cast<std::size_t>(got);
  }

 private:
  Archive archive_;
  Entry entry_;  // destroyed before its archive
};

std::vector<std::string> Keys(zip_t* archive) {
  std::vector<std::string> keys;
  for (zip_int64_t i = 0; i < zip_get_num_entries(archive, 0); ++i) {
    const char* name = zip_get_name(archive, static_cast<zip_uint64_t>(i), 0);
    absl::string_view view = name == nullptr ? "" : name;
    if (absl::ConsumeSuffix(&view, ".npy")) keys.emplace_back(view);
  }
  return keys;
}

// The key to take when none is asked for; empty where the choice is not plain.
std::string DefaultKey(const std::vector<std::string>& keys) {
  if (keys.size() == 1) return keys.front();
  return std::find(keys.begin(), keys.end(), "X") != keys.end() ? "X" : "";
}

}  // namespace

absl::StatusOr<std::unique_ptr<ByteSource>> OpenZipEntry(const std::string& path,
                                                         std::string& key) {
  int code = ZIP_ER_OK;
  Archive archive(zip_open(path.c_str(), ZIP_RDONLY, &code), &zip_discard);
  if (!archive) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string message = zip_error_strerror(&error);
    zip_error_fini(&error);
    return FileError(path, absl::StrCat("not a readable .npz archive: ", message));
  }
  const std::vector<std::string> keys = Keys(archive.get());
  if (keys.empty()) return FileError(path, "the archive holds no .npy array");
  const std::string wanted = key.empty() ? DefaultKey(keys) : key;
  if (wanted.empty() || std::find(keys.begin(), keys.end(), wanted) == keys.end()) {
    return FileError(path, absl::StrCat(key.empty() ? "several arrays, choose one with --key"
                                                    : absl::StrCat("no array ", Quote(key)),
                                        "; the archive holds: ", absl::StrJoin(keys, ", ")));
  }
  Entry entry(zip_fopen(archive.get(), absl::StrCat(wanted, ".npy").c_str(), 0), &zip_fclose);
  if (!entry) {
    return FileError(
        path, absl::StrCat("cannot read array ", Quote(wanted), ": ", zip_strerror(archive.get())));
  }
  key = wanted;
  return std::make_unique<ZipSource>(std::move(archive), std::move(entry));
}

}  // namespace millrace::cli
