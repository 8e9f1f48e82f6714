// SPDX-License-Identifier: Apache-2.0
#include "server/app/model_repository.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "server/app/exception_wall.h"
#include "server/app/log.h"
#include "server/app/model_name.h"
#include "server/app/page_token.h"

namespace millrace {
namespace {

constexpr std::int64_t kDefaultPageSize = 100;
constexpr std::int64_t kMaxPageSize = 1000;

absl::Status UnknownModel(absl::string_view name) {
  return MakeError(absl::StatusCode::kNotFound, {.field = "name",
                                                 .value = std::string(name),
                                                 .expected = "the name of a model on this server"});
}

absl::Status UnknownVersion(absl::string_view name, std::uint64_t version) {
  return MakeError(absl::StatusCode::kNotFound,
                   {.field = "version",
                    .value = absl::StrCat(version),
                    .expected = absl::StrCat("a version of model ", name)});
}

// The latest version that serves, or the latest of all where none does.
template <typename Versions>
ModelHandle Latest(const Versions& versions) {
  for (auto it = versions.rbegin(); it != versions.rend(); ++it) {
    if (it->second->state.ok()) return it->second;
  }
  return versions.rbegin()->second;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ModelRepository>> ModelRepository::Open(const std::string& directory,
                                                                       Backend& backend,
                                                                       Metrics& metrics) {
  MILLRACE_ASSIGN_OR_RETURN(auto opened, ModelDirectory::Open(directory));
  MILLRACE_ASSIGN_OR_RETURN(const auto names, opened->Recover());
  std::unique_ptr<ModelRepository> repository(
      new ModelRepository(std::move(opened), backend, metrics));
  Snapshot snapshot;
  for (const auto& [name, versions] : names) {
    if (!versions.ok()) {
      metrics.ModelLoadFailed();
      Log(LogLevel::kError, "models skipped",
          {{"model", name}, {"reason", versions.status().ToString()}});
      repository->unreadable_[name] = versions.status();
      continue;
    }
    repository->last_number_[name] = versions->last_number;
    for (const std::uint64_t version : versions->published) {
      snapshot[name][version] = repository->Load(name, version);
    }
  }
  repository->SetSnapshot(std::move(snapshot));
  return repository;
}

ModelHandle ModelRepository::Load(const std::string& name, std::uint64_t version) {
  auto served = std::make_shared<ServedModel>();
  served->name = name;
  served->version = version;
  served->state = BehindExceptionWall([&]() -> absl::Status {
    MILLRACE_ASSIGN_OR_RETURN(Model model, directory_->Load(name, version));
    MILLRACE_ASSIGN_OR_RETURN(served->density,
                              Density::Create(std::make_shared<Model>(std::move(model)), backend_));
    return absl::OkStatus();
  });
  if (served->state.ok()) {
    metrics_.ModelLoaded(name, version);
    Log(LogLevel::kInfo, "model loaded", {{"model", name}, {"version", version}});
  } else {
    metrics_.ModelLoadFailed();
    Log(LogLevel::kError, "model cannot serve",
        {{"model", name},
         {"version", version},
         {"reason", served->state.ToString(absl::StatusToStringMode::kWithNoExtraData)}});
  }
  return served;
}

std::shared_ptr<const ModelRepository::Snapshot> ModelRepository::snapshot() const {
  const std::lock_guard lock(snapshot_mutex_);
  return snapshot_;
}

void ModelRepository::SetSnapshot(Snapshot snapshot) {
  auto next = std::make_shared<const Snapshot>(std::move(snapshot));
  const std::lock_guard lock(snapshot_mutex_);
  snapshot_.swap(next);
}

absl::StatusOr<ModelHandle> ModelRepository::Describe(absl::string_view name,
                                                      std::uint64_t version) const {
  MILLRACE_RETURN_IF_ERROR(CheckModelName(name));
  const auto models = snapshot();
  const auto found = models->find(std::string_view(name.data(), name.size()));
  if (found == models->end()) return UnknownModel(name);
  if (version == 0) return Latest(found->second);
  const auto exact = found->second.find(version);
  if (exact == found->second.end()) return UnknownVersion(name, version);
  return exact->second;
}

absl::StatusOr<ModelHandle> ModelRepository::Get(absl::string_view name,
                                                 std::uint64_t version) const {
  MILLRACE_ASSIGN_OR_RETURN(ModelHandle model, Describe(name, version));
  if (model->state.ok()) return model;
  return absl::DataLossError(absl::StrCat("model ", name, " version ", model->version,
                                          " cannot serve: ", model->state.message()));
}

absl::StatusOr<ModelRepository::Page> ModelRepository::List(absl::string_view name,
                                                            std::int64_t page_size,
                                                            absl::string_view token) const {
  if (page_size < 0) return InvalidArgument("page_size", absl::StrCat(page_size), "0 or more");
  const auto limit = static_cast<std::size_t>(page_size == 0 ? kDefaultPageSize
                                                             : std::min(page_size, kMaxPageSize));
  if (!name.empty()) MILLRACE_RETURN_IF_ERROR(CheckModelName(name));
  PagePosition after;
  if (!token.empty()) {
    MILLRACE_ASSIGN_OR_RETURN(after, DecodePageToken(name, token));
  }

  const auto models = snapshot();
  std::vector<ModelHandle> all;
  if (name.empty()) {
    for (auto it = models->upper_bound(after.name); it != models->end(); ++it) {
      all.push_back(Latest(it->second));
    }
  } else {
    const auto found = models->find(std::string_view(name.data(), name.size()));
    if (found == models->end()) return UnknownModel(name);
    for (auto it = found->second.upper_bound(after.version); it != found->second.end(); ++it) {
      all.push_back(it->second);
    }
  }

  Page page;
  const bool last = all.size() <= limit;
  all.resize(std::min(all.size(), limit));
  page.models = std::move(all);
  if (!last) {
    const ModelHandle& end = page.models.back();
    page.next_token = EncodePageToken(name, {end->name, end->version});
  }
  return page;
}

absl::Status ModelRepository::CheckMayPublish(const std::string& name) const {
  MILLRACE_RETURN_IF_ERROR(CheckModelName(name));
  const auto found = unreadable_.find(name);
  if (found == unreadable_.end()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("model ", name, " had no readable folder when the server started (",
                   found->second.message(), "); repair it and restart, or use another name"));
}

absl::Status ModelRepository::CheckMayPublishAfter(const ServedModel& base) const {
  MILLRACE_RETURN_IF_ERROR(CheckMayPublish(base.name));
  const absl::StatusOr<ModelHandle> latest = Get(base.name, 0);
  if (latest.ok() && (*latest)->version == base.version) return absl::OkStatus();
  return MakeError(absl::StatusCode::kAborted,
                   {.field = "version",
                    .value = absl::StrCat(base.version),
                    .expected = absl::StrCat("the latest version of model ", base.name)});
}

absl::StatusOr<ModelHandle> ModelRepository::Publish(const std::string& name, Model model) {
  return PublishIf(name, std::move(model), [&] { return CheckMayPublish(name); });
}

absl::StatusOr<ModelHandle> ModelRepository::PublishAfter(const ServedModel& base, Model model) {
  return PublishIf(base.name, std::move(model), [&] { return CheckMayPublishAfter(base); });
}

// `check` is asked at once, and again when nothing else can be published any more.
absl::StatusOr<ModelHandle> ModelRepository::PublishIf(const std::string& name, Model model,
                                                       absl::FunctionRef<absl::Status()> check) {
  MILLRACE_RETURN_IF_ERROR(check());
  auto served = std::make_shared<ServedModel>();
  served->name = name;
  const auto shared_model = std::make_shared<Model>(std::move(model));
  MILLRACE_ASSIGN_OR_RETURN(served->density, Density::Create(shared_model, backend_));
  MILLRACE_ASSIGN_OR_RETURN(const std::string staged, directory_->Stage(name, *shared_model));

  const std::lock_guard lock(writer_);
  if (absl::Status status = check(); !status.ok()) {
    directory_->Discard(staged);
    return status;
  }
  served->version = ++last_number_[name];
  MILLRACE_RETURN_IF_ERROR(directory_->Publish(name, served->version, staged));
  metrics_.ModelLoaded(name, served->version);
  Snapshot next = *snapshot();
  next[name][served->version] = served;
  SetSnapshot(std::move(next));
  return served;
}

absl::StatusOr<std::vector<std::uint64_t>> ModelRepository::Delete(
    absl::string_view name, std::optional<std::uint64_t> version) {
  MILLRACE_RETURN_IF_ERROR(CheckModelName(name));
  const std::lock_guard lock(writer_);
  Snapshot next = *snapshot();
  const auto found = next.find(std::string_view(name.data(), name.size()));
  if (found == next.end()) return UnknownModel(name);
  std::vector<std::uint64_t> doomed;
  for (const auto& [number, model] : found->second) {
    if (!version || *version == number) doomed.push_back(number);
  }
  if (doomed.empty()) return UnknownVersion(name, *version);

  absl::Status status;
  for (const std::uint64_t number : doomed) {
    status = directory_->Delete(found->first, number);
    if (!status.ok()) break;
    metrics_.ModelUnloaded(found->first, number);
    found->second.erase(number);
  }
  if (found->second.empty()) next.erase(found);
  SetSnapshot(std::move(next));
  if (!status.ok()) return status;
  return doomed;
}

}  // namespace millrace
