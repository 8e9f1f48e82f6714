// SPDX-License-Identifier: Apache-2.0
// The models that this server holds: on disk, and ready to compute.
#ifndef MILLRACE_SERVER_APP_MODEL_REPOSITORY_H_
#define MILLRACE_SERVER_APP_MODEL_REPOSITORY_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/flow/backend.h"
#include "core/score/density.h"
#include "server/app/metrics.h"
#include "server/app/model_directory.h"

namespace millrace {

// One version of a model. Immutable; whoever holds the pointer keeps it alive, also after a
// deletion.
struct ServedModel {
  std::string name;
  std::uint64_t version = 0;
  absl::Status state;                      // OK: serves; else why it cannot
  std::shared_ptr<const Density> density;  // null unless state is OK
};
using ModelHandle = std::shared_ptr<const ServedModel>;

// Thread-safe. Readers see a snapshot and never wait for a publication or a deletion.
class ModelRepository {
 public:
  // Loads every version in `directory`; one that cannot serve is logged and kept as FAILED, and a
  // name whose folder cannot be read is logged, counted as a failed load and skipped. An error only
  // when `directory` itself cannot be used. `backend` and `metrics` outlive the repository and all
  // handles.
  static absl::StatusOr<std::unique_ptr<ModelRepository>> Open(const std::string& directory,
                                                               Backend& backend, Metrics& metrics);

  // A version that serves; version 0 = the latest that does. INVALID_ARGUMENT for a malformed name,
  // NOT_FOUND for an unknown name or version, DATA_LOSS when that very version cannot serve.
  absl::StatusOr<ModelHandle> Get(absl::string_view name, std::uint64_t version) const;
  // As Get, but a version that cannot serve is returned too.
  absl::StatusOr<ModelHandle> Describe(absl::string_view name, std::uint64_t version) const;

  struct Page {
    std::vector<ModelHandle> models;  // by name, then version
    std::string next_token;           // empty on the last page
  };
  // Empty name: the latest version of every model (the latest that serves, if one does). Else all
  // versions of that model; NOT_FOUND when there is none. page_size 0 = 100, at most 1000.
  // INVALID_ARGUMENT for a negative size, and for a token not given out for this name.
  absl::StatusOr<Page> List(absl::string_view name, std::int64_t page_size,
                            absl::string_view token) const;

  // Whether Publish takes this name. INVALID_ARGUMENT for a malformed one; FAILED_PRECONDITION for
  // one that was skipped by Open, since numbers are never used twice.
  absl::Status CheckMayPublish(const std::string& name) const;
  // Makes `model` the next version of `name`, on disk and for readers. It survives a crash once
  // this returns; on any error neither disk nor readers have it. As CheckMayPublish, else INTERNAL
  // for the disk and DATA_LOSS for a model that is none. Blocks on the disk.
  absl::StatusOr<ModelHandle> Publish(const std::string& name, Model model);
  // The same of a model made from `base`, under its name. ABORTED unless `base` is the latest of
  // its name that serves when the version is given out: else it would hide what came after `base`.
  // CheckMayPublishAfter says whether that holds now.
  absl::Status CheckMayPublishAfter(const ServedModel& base) const;
  absl::StatusOr<ModelHandle> PublishAfter(const ServedModel& base, Model model);

  // Deletes one version, or all when `version` is empty; returns their numbers, ascending.
  // NOT_FOUND when there is none. On any other error, what could not be deleted is still served.
  // Blocks on the disk.
  absl::StatusOr<std::vector<std::uint64_t>> Delete(absl::string_view name,
                                                    std::optional<std::uint64_t> version);

 private:
  using Versions = std::map<std::uint64_t, ModelHandle>;
  using Snapshot = std::map<std::string, Versions, std::less<>>;

  ModelRepository(std::unique_ptr<ModelDirectory> directory, Backend& backend, Metrics& metrics)
      : directory_(std::move(directory)), backend_(backend), metrics_(metrics) {}

  ModelHandle Load(const std::string& name, std::uint64_t version);
  absl::StatusOr<ModelHandle> PublishIf(const std::string& name, Model model,
                                        absl::FunctionRef<absl::Status()> check);
  std::shared_ptr<const Snapshot> snapshot() const;
  void SetSnapshot(Snapshot snapshot);

  const std::unique_ptr<ModelDirectory> directory_;
  Backend& backend_;
  Metrics& metrics_;

  std::mutex writer_;                                 // held while the disk and the snapshot change
  std::map<std::string, std::uint64_t> last_number_;  // guarded by writer_
  std::map<std::string, absl::Status> unreadable_;    // names Open skipped, and why; const after it

  mutable std::mutex snapshot_mutex_;  // held to copy or swap the pointer, and for nothing else
  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<const Snapshot>();
};

}  // namespace millrace

#endif  // MILLRACE_SERVER_APP_MODEL_REPOSITORY_H_
