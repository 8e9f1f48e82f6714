// SPDX-License-Identifier: Apache-2.0
#include "core/io/durable_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

namespace millrace {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr std::int64_t kMost = 1 << 20;

class DurableFileTest : public testing::Test {
 protected:
  DurableFileTest()
      : folder_(fs::path(testing::TempDir()) /
                testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~DurableFileTest() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ / name; }
  int Files() const {
    return static_cast<int>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  fs::path folder_;
};

TEST_F(DurableFileTest, WritesAndReplaces) {
  const std::string bytes("a\0b\xff", 4);
  for (const std::string& content : {bytes, std::string(), std::string(100000, 'x')}) {
    ASSERT_TRUE(WriteFileDurably(Path("f"), content).ok());
    EXPECT_EQ(*ReadWholeFile(Path("f"), kMost), content);
    EXPECT_EQ(Files(), 1);
  }
}

TEST_F(DurableFileTest, WritesRelativePaths) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_);
  EXPECT_TRUE(WriteFileDurably("here", "x").ok());
  fs::current_path(before);
  EXPECT_EQ(*ReadWholeFile(Path("here"), kMost), "x");
}

TEST_F(DurableFileTest, ErrorsCarryReasonAndPath) {
  const absl::Status status = WriteFileDurably(Path("none/f"), "x");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("none/f"));
  EXPECT_THAT(status.message(), HasSubstr("No such file"));
}

// A folder cannot be renamed over.
TEST_F(DurableFileTest, FailedRenameLeavesNothing) {
  fs::create_directory(Path("f"));
  EXPECT_FALSE(WriteFileDurably(Path("f"), "x").ok());
  EXPECT_EQ(Files(), 1);
}

// A limit on the size of files stands in for a full disk.
TEST_F(DurableFileTest, FailedWriteLeavesTheOldFile) {
  ASSERT_TRUE(WriteFileDurably(Path("f"), "old").ok());
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit small{4096, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = WriteFileDurably(Path("f"), std::string(100000, 'x'));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.message(), HasSubstr("write"));
  EXPECT_EQ(*ReadWholeFile(Path("f"), kMost), "old");
  EXPECT_EQ(Files(), 1);
}

TEST_F(DurableFileTest, ConcurrentWritersLeaveOneWholeFile) {
  std::vector<std::jthread> writers;
  for (char c = 'a'; c < 'e'; ++c) {
    writers.emplace_back([this, c] {
      for (int i = 0; i < 5; ++i)
        EXPECT_TRUE(WriteFileDurably(Path("f"), std::string(5000, c)).ok());
    });
  }
  writers.clear();
  const std::string content = *ReadWholeFile(Path("f"), kMost);
  EXPECT_EQ(content, std::string(5000, content[0]));
  EXPECT_EQ(Files(), 1);
}

TEST_F(DurableFileTest, RefusesWhatIsNoFileOrTooLong) {
  EXPECT_EQ(ReadWholeFile(Path("none"), kMost).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadWholeFile(folder_, kMost).status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(ReadWholeFile(Path("pipe"), kMost).status().code(),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(WriteFileDurably(Path("f"), "12345").ok());
  EXPECT_EQ(ReadWholeFile(Path("f"), 4).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(DurableFileTest, AFileIsJudgedByItsStartBeforeItIsRead) {
  ASSERT_TRUE(WriteFileDurably(Path("f"), "start of something").ok());
  constexpr std::int64_t kHuge = std::int64_t{1} << 40;  // more than memory; a hole, mostly
  std::filesystem::resize_file(Path("f"), kHuge);
  const auto refuse = [&](absl::string_view start, std::int64_t size) -> absl::Status {
    EXPECT_EQ(std::ssize(start), kStartBytes);
    EXPECT_EQ(start.substr(0, 5), "start");
    EXPECT_EQ(size, kHuge);
    return absl::UnimplementedError("foreign");
  };
  EXPECT_EQ(ReadWholeFile(Path("f"), kHuge, refuse).status(), absl::UnimplementedError("foreign"));
  ASSERT_TRUE(WriteFileDurably(Path("f"), std::string(kStartBytes, 'a') + "the end").ok());
  EXPECT_EQ(*ReadWholeFile(Path("f"), kMost,
                           [](absl::string_view, std::int64_t) { return absl::OkStatus(); }),
            std::string(kStartBytes, 'a') + "the end");
}

}  // namespace
}  // namespace millrace
