// SPDX-License-Identifier: Apache-2.0
#include "server/app/model_repository.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/base/error_detail.h"
#include "core/cpu/cpu_backend.h"
#include "core/io/model_file.h"
#include "gtest/gtest.h"
#include "tests/server/support/small_model.h"
#include "tests/server/support/temp_folder.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

class ModelRepositoryTest : public testing::Test {
 protected:
  std::unique_ptr<ModelRepository> Open() {
    auto repository = ModelRepository::Open(folder_.path(), *backend_, metrics_);
    EXPECT_TRUE(repository.ok()) << repository.status();
    return repository.ok() ? *std::move(repository) : nullptr;
  }

  std::uint64_t Publish(ModelRepository& repository, const std::string& name) {
    const auto published = repository.Publish(name, SmallModel());
    EXPECT_TRUE(published.ok()) << published.status();
    return published.ok() ? (*published)->version : 0;
  }

  std::vector<std::string> List(const ModelRepository& repository, const std::string& name) {
    std::vector<std::string> found;
    const auto page = repository.List(name, 0, "");
    EXPECT_TRUE(page.ok()) << page.status();
    for (const ModelHandle& model : page->models) {
      found.push_back(model->name + "/" + std::to_string(model->version));
    }
    return found;
  }

  std::string Path(const std::string& below) const { return folder_.path() + "/" + below; }

  TempFolder folder_;
  Metrics metrics_;
  const std::unique_ptr<Backend> backend_ = CreateCpuBackend({.threads = 1});
};

using Names = std::vector<std::string>;

TEST_F(ModelRepositoryTest, PublishesVersionsThatSurviveARestart) {
  {
    auto repository = Open();
    EXPECT_EQ(Publish(*repository, "moons"), 1U);
    EXPECT_EQ(Publish(*repository, "moons"), 2U);
    EXPECT_EQ(Publish(*repository, "rings"), 1U);
  }
  auto repository = Open();
  EXPECT_EQ(List(*repository, ""), (Names{"moons/2", "rings/1"}));
  EXPECT_EQ(List(*repository, "moons"), (Names{"moons/1", "moons/2"}));
  EXPECT_EQ((*repository->Get("moons", 0))->version, 2U);
  EXPECT_EQ((*repository->Get("moons", 1))->version, 1U);
  EXPECT_NE((*repository->Get("moons", 1))->density, nullptr);
}

TEST_F(ModelRepositoryTest, SaysWhatIsUnknown) {
  auto repository = Open();
  Publish(*repository, "moons");
  EXPECT_EQ(DetailOf(repository->Get("rings", 0).status()).field, "name");
  EXPECT_TRUE(absl::IsNotFound(repository->Get("rings", 0).status()));
  EXPECT_EQ(DetailOf(repository->Get("moons", 9).status()).field, "version");
  EXPECT_TRUE(absl::IsNotFound(repository->Get("moons", 9).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(repository->Get("../moons", 0).status()));
  EXPECT_TRUE(absl::IsNotFound(repository->List("rings", 0, "").status()));
}

TEST_F(ModelRepositoryTest, AMalformedNameNeverReachesTheDisk) {
  auto repository = Open();
  for (const std::string& name :
       {std::string("../escape"), std::string("a/b"), std::string("a\0b", 3), std::string("")}) {
    EXPECT_TRUE(absl::IsInvalidArgument(repository->Publish(name, SmallModel()).status()));
    EXPECT_TRUE(absl::IsInvalidArgument(repository->Delete(name, std::nullopt).status()));
  }
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

TEST_F(ModelRepositoryTest, OneBrokenVersionIsKeptApart) {
  {
    auto repository = Open();
    for (int i = 0; i < 3; ++i) Publish(*repository, "moons");
  }
  fs::resize_file(Path("moons/3/model.safetensors"), 100);
  fs::remove(Path("moons/1/model.safetensors"));
  WriteText(Path("foreign/1/model.safetensors"), "not a model");
  WriteText(Path("moons/notes.txt"), "ours? no");
  WriteText(Path("moons/007/model.safetensors"), "no version of ours");
  auto repository = Open();
  EXPECT_EQ((*repository->Get("moons", 0))->version, 2U);
  EXPECT_TRUE(absl::IsDataLoss(repository->Get("moons", 3).status()));
  EXPECT_TRUE(absl::IsDataLoss(repository->Get("moons", 1).status()));
  EXPECT_TRUE(absl::IsDataLoss(repository->Get("foreign", 0).status()));
  EXPECT_FALSE((*repository->Describe("moons", 3))->state.ok());
  EXPECT_EQ(List(*repository, "moons"), (Names{"moons/1", "moons/2", "moons/3"}));
  EXPECT_EQ(List(*repository, ""), (Names{"foreign/1", "moons/2"}));
  EXPECT_EQ(Publish(*repository, "moons"), 4U);
  EXPECT_EQ((*repository->Get("moons", 0))->version, 4U);
}

TEST_F(ModelRepositoryTest, LeftoversOfACrashAreRemovedAndNothingElse) {
  { Publish(*Open(), "moons"); }
  WriteText(Path("moons/.tmp-7/model.safetensors"), "half a file");
  WriteText(Path("moons/4.deleted/model.safetensors"), "deleted, not yet removed");
  WriteText(Path("moons/2.deleted/model.safetensors"), "deleted, not yet removed");
  WriteText(Path("keep/me.txt"), "text");
  auto repository = Open();
  EXPECT_FALSE(fs::exists(Path("moons/.tmp-7")));
  EXPECT_FALSE(fs::exists(Path("moons/2.deleted")));
  EXPECT_TRUE(fs::is_empty(Path("moons/4.deleted")));
  EXPECT_TRUE(fs::exists(Path("keep/me.txt")));
  EXPECT_EQ(Publish(*repository, "moons"), 5U);
}

TEST_F(ModelRepositoryTest, DeletesDurablyAndNeverUsesANumberAgain) {
  auto repository = Open();
  for (int i = 0; i < 3; ++i) Publish(*repository, "moons");
  const auto held = *repository->Get("moons", 3);
  EXPECT_EQ(*repository->Delete("moons", 3), std::vector<std::uint64_t>{3});
  EXPECT_TRUE(absl::IsNotFound(repository->Delete("moons", 3).status()));
  EXPECT_EQ((*repository->Get("moons", 0))->version, 2U);
  EXPECT_EQ(held->density->model().columns.num_columns(), 4);  // still usable by who holds it
  repository.reset();
  repository = Open();
  EXPECT_EQ(List(*repository, "moons"), (Names{"moons/1", "moons/2"}));
  EXPECT_EQ(*repository->Delete("moons", std::nullopt), (std::vector<std::uint64_t>{1, 2}));
  EXPECT_TRUE(absl::IsNotFound(repository->Get("moons", 0).status()));
  EXPECT_TRUE(absl::IsNotFound(repository->Delete("moons", std::nullopt).status()));
  repository.reset();
  EXPECT_EQ(Publish(*Open(), "moons"), 4U);
}

TEST_F(ModelRepositoryTest, ListsPageByPage) {
  auto repository = Open();
  for (const char* name : {"a", "b", "c", "d", "e"}) Publish(*repository, name);
  Names found;
  std::string token;
  int pages = 0;
  do {
    const auto page = repository->List("", 2, token);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const ModelHandle& model : page->models) found.push_back(model->name);
    token = page->next_token;
    ++pages;
  } while (!token.empty());
  EXPECT_EQ(found, (Names{"a", "b", "c", "d", "e"}));
  EXPECT_EQ(pages, 3);
  EXPECT_TRUE(absl::IsInvalidArgument(repository->List("", -1, "").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      repository->List("a", 0, repository->List("", 2, "")->next_token).status()));
  EXPECT_EQ(repository->List("", 100'000, "")->models.size(), 5U);
}

TEST_F(ModelRepositoryTest, AFolderServesOneServerOnly) {
  auto repository = Open();
  EXPECT_TRUE(absl::IsFailedPrecondition(
      ModelRepository::Open(folder_.path(), *backend_, metrics_).status()));
  repository.reset();
  EXPECT_NE(Open(), nullptr);
}

TEST_F(ModelRepositoryTest, AFailedPublicationChangesNothing) {
  auto repository = Open();
  Publish(*repository, "moons");
  WriteText(Path("moons/2/in-the-way.txt"), "text");
  EXPECT_TRUE(absl::IsInternal(repository->Publish("moons", SmallModel()).status()));
  EXPECT_EQ((*repository->Get("moons", 0))->version, 1U);
  Model broken = SmallModel();
  broken.parameters = ParameterValues(3);
  EXPECT_FALSE(repository->Publish("moons", std::move(broken)).ok());
  EXPECT_EQ(Publish(*repository, "moons"), 3U);
  for (const auto& entry : fs::directory_iterator(Path("moons"))) {
    EXPECT_NE(entry.path().filename().string().substr(0, 4), ".tmp") << entry.path();
  }
}

TEST_F(ModelRepositoryTest, PublishesAfterTheLatestOnly) {
  auto repository = Open();
  Publish(*repository, "moons");
  const ModelHandle first = *repository->Get("moons", 0);
  const auto second = repository->PublishAfter(*first, SmallModel());
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ((*second)->version, 2U);
  EXPECT_TRUE(absl::IsAborted(repository->PublishAfter(*first, SmallModel()).status()));
  EXPECT_TRUE(repository->Delete("moons", std::nullopt).ok());
  EXPECT_TRUE(absl::IsAborted(repository->PublishAfter(**second, SmallModel()).status()));
  Publish(*repository, "moons");
  const ModelHandle third = *repository->Get("moons", 0);
  // Of two at once one wins, and the other leaves nothing behind.
  std::atomic<int> published{0};
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i)
    writers.emplace_back([&] {
      const absl::Status status = repository->PublishAfter(*third, SmallModel()).status();
      if (status.ok()) ++published;
      EXPECT_TRUE(status.ok() || absl::IsAborted(status)) << status;
    });
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(published, 1);
  for (const auto& entry : fs::directory_iterator(Path("moons")))
    EXPECT_NE(entry.path().filename().string().substr(0, 4), ".tmp") << entry.path();
}

TEST_F(ModelRepositoryTest, ReadersAndWritersAtOnce) {
  auto repository = Open();
  Publish(*repository, "moons");
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      std::uint64_t last = 0;
      while (!stop.load()) {
        const auto model = repository->Get("moons", 0);
        ASSERT_TRUE(model.ok()) << model.status();
        EXPECT_GE((*model)->version, last);  // versions only go up
        last = (*model)->version;
        EXPECT_EQ((*model)->density->model().columns.num_columns(), 4);
        EXPECT_TRUE(repository->List("", 0, "").ok());
      }
    });
  }
  std::thread other([&] {
    for (int i = 0; i < 5; ++i) {
      Publish(*repository, "rings");
      EXPECT_TRUE(repository->Delete("rings", std::nullopt).ok());
    }
  });
  for (int i = 0; i < 10; ++i) {
    const std::uint64_t version = Publish(*repository, "moons");
    EXPECT_TRUE(repository->Delete("moons", version - 1).ok());
  }
  other.join();
  stop.store(true);
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(List(*repository, ""), Names{"moons/11"});
}

}  // namespace
}  // namespace millrace
