// SPDX-License-Identifier: Apache-2.0
#include "server/app/model_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status_macros.h"
#include "core/io/model_file.h"
#include "server/app/log.h"
#include "server/app/model_name.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

constexpr absl::string_view kModelFile = "model.safetensors";
constexpr absl::string_view kTemporary = ".tmp-";
constexpr absl::string_view kDeleted = ".deleted";

absl::Status FileError(absl::string_view action, const std::string& path,
                       const std::error_code& error) {
  return absl::InternalError(absl::StrCat("cannot ", action, " ", path, ": ", error.message()));
}

std::error_code LastError() { return {errno, std::generic_category()}; }

absl::Status SyncFolder(const std::string& path) {
  const int folder = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return FileError("open", path, LastError());
  const int result = ::fsync(folder);
  const std::error_code error = LastError();
  ::close(folder);
  return result == 0 ? absl::OkStatus() : FileError("fsync", path, error);
}

absl::Status Rename(const std::string& from, const std::string& to) {
  std::error_code error;
  fs::rename(from, to, error);
  return error ? FileError("rename to", to, error) : absl::OkStatus();
}

// Leftovers harm nobody: what cannot be removed now is tried again by the next Recover.
void RemoveAll(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error)
    Log(LogLevel::kWarning, "cannot remove", {{"path", path}, {"reason", error.message()}});
}

// Undoes a change that could not be made durable.
void TakeBack(const std::string& from, const std::string& to) {
  const absl::Status status = Rename(from, to);
  if (!status.ok())
    Log(LogLevel::kError, "the model directory and the models served differ until the next start",
        {{"path", from}, {"reason", status.ToString()}});
}

absl::StatusOr<std::vector<std::string>> EntriesOf(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entry(path, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (error) return FileError("read", path, error);
  return names;
}

// The number that `text` writes in the one form we write: decimal, > 0, without leading zeros.
std::optional<std::uint64_t> VersionNumber(absl::string_view text) {
  std::uint64_t number = 0;
  if (!absl::SimpleAtoi(text, &number) || number == 0 || absl::StrCat(number) != text) {
    return std::nullopt;
  }
  return number;
}

// Whether the path is a folder, or what it is cannot be found out.
bool MayBeFolder(const std::string& path) {
  std::error_code error;
  const fs::file_type type = fs::status(path, error).type();
  return type == fs::file_type::directory || type == fs::file_type::none;
}

// What a name's folder holds. Unfinished publications are removed; of deletions, the highest stays
// as an empty folder so that its number is not used again.
absl::StatusOr<ModelDirectory::Versions> RecoverName(const std::string& path) {
  ModelDirectory::Versions versions;
  std::vector<std::uint64_t> deleted;
  MILLRACE_ASSIGN_OR_RETURN(const std::vector<std::string> entries, EntriesOf(path));
  for (const std::string& entry : entries) {
    absl::string_view number_text = entry;
    if (absl::StartsWith(entry, kTemporary)) {
      RemoveAll(absl::StrCat(path, "/", entry));
    } else if (absl::ConsumeSuffix(&number_text, kDeleted)) {
      if (const auto number = VersionNumber(number_text)) deleted.push_back(*number);
    } else if (const auto number = VersionNumber(entry)) {
      versions.last_number = std::max(versions.last_number, *number);
      const std::string version = absl::StrCat(path, "/", entry);
      if (MayBeFolder(version)) {
        versions.published.push_back(*number);
      } else {
        Log(LogLevel::kWarning, "not a folder, so no version", {{"path", version}});
      }
    }
  }
  std::sort(versions.published.begin(), versions.published.end());
  for (const std::uint64_t number : deleted)
    versions.last_number = std::max(versions.last_number, number);
  for (const std::uint64_t number : deleted) {
    const std::string grave = absl::StrCat(path, "/", number, kDeleted);
    RemoveAll(number == versions.last_number ? absl::StrCat(grave, "/", kModelFile) : grave);
  }
  return versions;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ModelDirectory>> ModelDirectory::Open(const std::string& root) {
  std::error_code error;
  fs::create_directories(root, error);
  if (error) return FileError("make", root, error);
  const int lock = ::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock < 0) return FileError("open", root, LastError());
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    const std::error_code reason = LastError();
    ::close(lock);
    if (reason.value() != EWOULDBLOCK) return FileError("lock", root, reason);
    return absl::FailedPreconditionError(
        absl::StrCat("the model directory ", root, " is in use by another server"));
  }
  return std::unique_ptr<ModelDirectory>(new ModelDirectory(root, lock));
}

ModelDirectory::~ModelDirectory() { ::close(lock_); }

std::string ModelDirectory::NamePath(const std::string& name) const {
  return absl::StrCat(root_, "/", name);
}

std::string ModelDirectory::VersionPath(const std::string& name, std::uint64_t version) const {
  return absl::StrCat(root_, "/", name, "/", version);
}

absl::StatusOr<ModelDirectory::Names> ModelDirectory::Recover() const {
  Names names;
  MILLRACE_ASSIGN_OR_RETURN(const std::vector<std::string> entries, EntriesOf(root_));
  for (const std::string& entry : entries) {
    if (!IsValidModelName(entry)) continue;
    std::error_code error;
    const fs::file_type type = fs::status(NamePath(entry), error).type();
    if (type == fs::file_type::directory) {
      names.emplace(entry, RecoverName(NamePath(entry)));
    } else if (type == fs::file_type::none) {
      names.emplace(entry, FileError("inspect", NamePath(entry), error));
    }
  }
  return names;
}

absl::StatusOr<Model> ModelDirectory::Load(const std::string& name, std::uint64_t version) const {
  absl::StatusOr<Model> model =
      LoadModel(absl::StrCat(VersionPath(name, version), "/", kModelFile));
  if (absl::IsNotFound(model.status())) return absl::DataLossError(model.status().message());
  return model;
}

absl::StatusOr<std::string> ModelDirectory::Stage(const std::string& name, const Model& model) {
  const std::string staged = absl::StrCat(NamePath(name), "/", kTemporary, staged_.fetch_add(1));
  std::error_code error;
  fs::create_directories(staged, error);
  if (error) return FileError("make", staged, error);
  const absl::Status saved = SaveModel(model, absl::StrCat(staged, "/", kModelFile));
  if (saved.ok()) return staged;
  Discard(staged);
  return absl::InternalError(saved.message());
}

absl::Status ModelDirectory::Publish(const std::string& name, std::uint64_t version,
                                     const std::string& staged) const {
  const std::string path = VersionPath(name, version);
  absl::Status published = Rename(staged, path);
  if (!published.ok()) {
    Discard(staged);
    return published;
  }
  published.Update(SyncFolder(NamePath(name)));
  published.Update(SyncFolder(root_));  // the name itself may be new
  // The file stays in the grave, so that a crash finds a whole version under either name.
  if (!published.ok()) TakeBack(path, absl::StrCat(path, kDeleted));
  return published;
}

void ModelDirectory::Discard(const std::string& staged) const { RemoveAll(staged); }

absl::Status ModelDirectory::Delete(const std::string& name, std::uint64_t version) const {
  const std::string path = VersionPath(name, version);
  const std::string grave = absl::StrCat(path, kDeleted);
  MILLRACE_RETURN_IF_ERROR(Rename(path, grave));
  const absl::Status deleted = SyncFolder(NamePath(name));
  if (deleted.ok()) {
    RemoveAll(absl::StrCat(grave, "/", kModelFile));
  } else {
    TakeBack(grave, path);
  }
  return deleted;
}

}  // namespace millrace
