// SPDX-License-Identifier: Apache-2.0
// Model versions on disk:
//   <root>/<name>/<version>/model.safetensors   a published version; never changed
//   <root>/<name>/<version>.deleted             this number is used up; its file, if any, goes with
//                                               the next Recover
//   <root>/<name>/.tmp-*                        a publication that was not finished
// A version appears and disappears by one rename, made durable by an fsync of its parent. Where
// that fsync fails the rename is taken back before the error is returned, so that an error means:
// as before. Only a crash right afterwards may find the change made, and the version whole in
// either case.
#ifndef MILLRACE_SERVER_APP_MODEL_DIRECTORY_H_
#define MILLRACE_SERVER_APP_MODEL_DIRECTORY_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/model.h"

namespace millrace {

// Names are valid (IsValidModelName): the caller has checked. Different names may be worked on from
// several threads at once; of one name, only Stage may run beside another call. Failures of the
// file system are INTERNAL, naming path and cause.
class ModelDirectory {
 public:
  // Makes the folder where it is absent and holds it for this process alone until destruction:
  // FAILED_PRECONDITION when another server has it.
  static absl::StatusOr<std::unique_ptr<ModelDirectory>> Open(const std::string& root);
  ~ModelDirectory();
  ModelDirectory(const ModelDirectory&) = delete;
  ModelDirectory& operator=(const ModelDirectory&) = delete;

  struct Versions {
    std::vector<std::uint64_t> published;  // ascending
    std::uint64_t last_number = 0;         // highest not free: used once, or something is there
  };
  // Every name with what it holds, or why its folder cannot be read; an error only when the root
  // cannot be. Removes what unfinished publications and deletions left, or logs why it cannot.
  // Entries that are none of ours are passed over; where one that is no folder has the name of a
  // version, that is logged and its number is not given out.
  using Names = std::map<std::string, absl::StatusOr<Versions>>;
  absl::StatusOr<Names> Recover() const;

  // DATA_LOSS or FAILED_PRECONDITION when the file cannot serve (see LoadModel).
  absl::StatusOr<Model> Load(const std::string& name, std::uint64_t version) const;

  // Writes a model durably to a temporary folder, which Publish or Discard takes.
  absl::StatusOr<std::string> Stage(const std::string& name, const Model& model);
  // The staged model is version `version` durably, or an error is returned and there is no such
  // version; the number may then be used up. The number must be unused.
  absl::Status Publish(const std::string& name, std::uint64_t version,
                       const std::string& staged) const;
  void Discard(const std::string& staged) const;

  // The version is gone durably, or an error is returned and it is still there.
  absl::Status Delete(const std::string& name, std::uint64_t version) const;

 private:
  ModelDirectory(std::string root, int lock) : root_(std::move(root)), lock_(lock) {}

  std::string NamePath(const std::string& name) const;
  std::string VersionPath(const std::string& name, std::uint64_t version) const;

  const std::string root_;
  const int lock_;  // descriptor of the root, locked
  std::atomic<std::uint64_t> staged_{0};
};

}  // namespace millrace

#endif  // MILLRACE_SERVER_APP_MODEL_DIRECTORY_H_
