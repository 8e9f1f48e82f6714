// SPDX-License-Identifier: Apache-2.0
// What happens when the file system fails. Of the C library, fsync is replaced by one that fails
// where a test wants it to; permissions bite even where the tests run as root.
#include "server/app/model_directory.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/cpu/cpu_backend.h"
#include "gtest/gtest.h"
#include "server/app/model_repository.h"
#include "server/app/training_jobs.h"
#include "tests/server/support/small_model.h"
#include "tests/server/support/temp_folder.h"

namespace {

std::string& FailingFolder() {
  static std::string folder;
  return folder;
}

}  // namespace

extern "C" int fsync(int fd) {
  std::array<char, PATH_MAX> path = {};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  if (!FailingFolder().empty() && readlink(link.c_str(), path.data(), path.size() - 1) > 0 &&
      FailingFolder() == path.data()) {
    errno = EIO;
    return -1;
  }
  return static_cast<int>(syscall(SYS_fsync, fd));
}

namespace millrace {
namespace {

namespace fs = std::filesystem;

// While it lives, this thread has no privileges beyond those of the files' owner.
class WithoutPrivileges {
 public:
  WithoutPrivileges() {
    syscall(SYS_capget, &header_, saved_.data());
    auto none = saved_;
    for (auto& set : none) set.effective = 0;
    syscall(SYS_capset, &header_, none.data());
  }
  ~WithoutPrivileges() { syscall(SYS_capset, &header_, saved_.data()); }

 private:
  __user_cap_header_struct header_ = {_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> saved_ = {};
};

class CountingMetrics final : public Metrics {
 public:
  void ModelLoadFailed() override { ++failed_; }
  int failed() const { return failed_; }

 private:
  int failed_ = 0;
};

class ModelDirectoryTest : public testing::Test {
 protected:
  ~ModelDirectoryTest() override { FailingFolder().clear(); }

  std::unique_ptr<ModelRepository> Open() {
    auto repository = ModelRepository::Open(folder_.path(), *backend_, metrics_);
    EXPECT_TRUE(repository.ok()) << repository.status();
    return repository.ok() ? *std::move(repository) : nullptr;
  }
  // Whether version `version` of "moons" is served, after having checked that the next start finds
  // the same.
  bool Serves(std::unique_ptr<ModelRepository>& repository, std::uint64_t version) {
    const bool now = repository->Get("moons", version).ok();
    FailingFolder().clear();
    repository.reset();
    repository = Open();
    EXPECT_EQ(repository->Get("moons", version).ok(), now) << "after a restart";
    return now;
  }
  std::string Path(const std::string& below) const { return folder_.path() + "/" + below; }

  TempFolder folder_;
  CountingMetrics metrics_;
  const std::unique_ptr<Backend> backend_ = CreateCpuBackend({.threads = 1});
};

TEST_F(ModelDirectoryTest, AnUnreadableNameIsReportedAndSkipped) {
  {
    auto repository = Open();
    for (const char* name : {"moons", "rings"})
      ASSERT_TRUE(repository->Publish(name, SmallModel()).ok());
  }
  fs::permissions(Path("rings"), fs::perms::none);
  fs::create_directory_symlink("loop", Path("loop"));
  std::unique_ptr<ModelRepository> repository;
  {
    const WithoutPrivileges as_owner;
    repository = Open();
  }
  fs::permissions(Path("rings"), fs::perms::owner_all);
  ASSERT_NE(repository, nullptr);
  EXPECT_EQ(metrics_.failed(), 2);
  EXPECT_TRUE(repository->Get("moons", 1).ok());
  EXPECT_TRUE(absl::IsNotFound(repository->Get("rings", 1).status()));
  // Which numbers it has used is unknown: it is refused, and before it is trained.
  const absl::Status refused = repository->Publish("rings", SmallModel()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  TrainingJobs jobs(1, *repository, metrics_);
  EXPECT_EQ(jobs.Reserve("rings", {}).status(), refused);
  EXPECT_TRUE(jobs.Reserve("moons", {}).ok());
}

TEST_F(ModelDirectoryTest, ALeftoverThatCannotBeRemovedKeepsNothingFromServing) {
  ASSERT_TRUE(Open()->Publish("moons", SmallModel()).ok());
  fs::create_symlink("5.deleted", Path("moons/5.deleted"));  // a loop: nothing below can be reached
  auto repository = Open();
  ASSERT_NE(repository, nullptr);
  EXPECT_TRUE(repository->Get("moons", 1).ok());
  EXPECT_EQ((*repository->Publish("moons", SmallModel()))->version, 6U);
}

TEST_F(ModelDirectoryTest, AFileIsNoVersion) {
  ASSERT_TRUE(Open()->Publish("moons", SmallModel()).ok());
  std::ofstream(Path("moons/2")) << "text";
  auto repository = Open();
  EXPECT_EQ(metrics_.failed(), 0);
  EXPECT_TRUE(absl::IsNotFound(repository->Describe("moons", 2).status()));
  // It keeps its place, and nobody loses a training to it.
  EXPECT_EQ((*repository->Publish("moons", SmallModel()))->version, 3U);
  EXPECT_TRUE(fs::is_regular_file(Path("moons/2")));
}

TEST_F(ModelDirectoryTest, OnlyAnUnreadableRootIsFatal) {
  fs::permissions(folder_.path(), fs::perms::none);
  {
    const WithoutPrivileges as_owner;
    EXPECT_TRUE(
        absl::IsInternal(ModelRepository::Open(folder_.path(), *backend_, metrics_).status()));
  }
  fs::permissions(folder_.path(), fs::perms::owner_all);
}

TEST_F(ModelDirectoryTest, APublicationThatIsNotDurableIsTakenBack) {
  auto repository = Open();
  for (const std::string& folder : {folder_.path(), Path("moons")}) {
    FailingFolder() = folder;
    EXPECT_TRUE(absl::IsInternal(repository->Publish("moons", SmallModel()).status()));
    EXPECT_FALSE(Serves(repository, folder == folder_.path() ? 1 : 2));
  }
  // A crash may yet bring 1 or 2 back: their numbers are used up.
  EXPECT_EQ((*repository->Publish("moons", SmallModel()))->version, 3U);
}

TEST_F(ModelDirectoryTest, ADeletionThatIsNotDurableIsTakenBack) {
  auto repository = Open();
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(repository->Publish("moons", SmallModel()).ok());
  FailingFolder() = Path("moons");
  EXPECT_TRUE(absl::IsInternal(repository->Delete("moons", 1).status()));
  EXPECT_TRUE(Serves(repository, 1));
  FailingFolder() = Path("moons");
  EXPECT_TRUE(absl::IsInternal(repository->Delete("moons", std::nullopt).status()));
  EXPECT_TRUE(Serves(repository, 1));
  EXPECT_TRUE(Serves(repository, 2));
  EXPECT_TRUE(repository->Delete("moons", std::nullopt).ok());
  EXPECT_FALSE(Serves(repository, 1));
}

}  // namespace
}  // namespace millrace
