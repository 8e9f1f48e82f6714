// SPDX-License-Identifier: Apache-2.0
#include "core/cpu/processors.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "core/cpu/cpu_backend.h"

namespace millrace {
namespace {

// A folder of control groups, and the file that says in which of them a process is.
class ControlGroupQuotaTest : public testing::Test {
 protected:
  ControlGroupQuotaTest()
      : folder_(std::filesystem::path(testing::TempDir()) /
                ("millrace-groups-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~ControlGroupQuotaTest() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& file, const std::string& text) {
    std::filesystem::create_directories((folder_ / file).parent_path());
    std::ofstream(folder_ / file) << text << "\n";
  }
  int Quota(const std::string& membership) {
    Write("membership", membership);
    return ControlGroupQuota(folder_ / "membership", folder_);
  }

 private:
  const std::filesystem::path folder_;
};

TEST_F(ControlGroupQuotaTest, IsThatOfTheRootOfAContainer) {
  Write("cpu.max", "250000 100000");
  EXPECT_EQ(Quota("0::/"), 3);
  // The container's own group is the root, its path the host's.
  EXPECT_EQ(Quota("0::/system.slice/docker-0a1b.scope"), 3);
}

TEST_F(ControlGroupQuotaTest, IsTheTightestOnTheWayToANestedGroup) {
  Write("kube/pod/cpu.max", "400000 100000");
  Write("kube/pod/app/cpu.max", "max 100000");
  Write("kube/pod/app/worker/cpu.max", "800000 100000");
  Write("kube/pod/other/cpu.max", "100000 100000");
  EXPECT_EQ(Quota("0::/kube/pod/app/worker"), 4);
  EXPECT_EQ(Quota("0::/kube/pod/other"), 1);
  EXPECT_EQ(Quota("0::/kube"), 0);
  EXPECT_EQ(Quota("0::/../kube/pod"), 4);
}

TEST_F(ControlGroupQuotaTest, IsReadOfVersionOneToo) {
  Write("cpu/docker/cpu.cfs_quota_us", "150000");
  Write("cpu/docker/cpu.cfs_period_us", "50000");
  Write("cpu/free/cpu.cfs_quota_us", "-1");
  Write("cpu/free/cpu.cfs_period_us", "100000");
  EXPECT_EQ(Quota("9:name=systemd:/\n4:cpu,cpuacct:/docker\n0::/"), 3);
  EXPECT_EQ(Quota("4:cpuacct,cpu:/free\n3:cpuset:/docker"), 0);
}

TEST_F(ControlGroupQuotaTest, IsAtLeastOneProcessor) {
  Write("cpu.max", "1000 100000");
  EXPECT_EQ(Quota("0::/"), 1);
}

TEST_F(ControlGroupQuotaTest, IsNoneWhereNothingCanBeRead) {
  EXPECT_EQ(Quota("0::/"), 0);
  for (const char* text : {"", "max", "100000", "100000 0", "a b", "1 2 3"}) {
    Write("cpu.max", text);
    EXPECT_EQ(Quota("0::/"), 0) << text;
  }
  Write("cpu.max", "100000 100000");
  EXPECT_EQ(Quota("nonsense"), 0);
  EXPECT_EQ(ControlGroupQuota("/no/such/file", "/no/such/folder"), 0);
}

TEST(AvailableProcessorsTest, AreSome) { EXPECT_GE(AvailableProcessors(), 1); }

}  // namespace
}  // namespace millrace
