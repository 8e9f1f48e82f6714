// SPDX-License-Identifier: Apache-2.0
// A run that was cut short goes on bit for bit; a checkpoint of anything else is refused.
#include "core/train/checkpoint.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "tests/core/train/tables.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest()
      : folder_(fs::path(testing::TempDir()) /
                (std::string("millrace_") +
                 testing::UnitTest::GetInstance()->current_test_info()->name())),
        table_(NormalTable(300, 2, 4)) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    for (std::int64_t r = 0; r < 300; ++r)
      table_(r, 1) = std::round(4.0 * table_(r, 0) * table_(r, 0));
    request_ = Quick(6);
    request_.checkpoint = {.path = folder_ / "checkpoint", .interval = absl::ZeroDuration()};
  }
  ~CheckpointTest() override { fs::remove_all(folder_); }

  const std::string& path() const { return request_.checkpoint.path; }

  // Trains until `epoch` epochs are over and cancels.
  void CutShort(int epoch) {
    std::stop_source stop;
    const absl::Status status = Train(
                                    request_, table_, 2,
                                    [&](const TrainProgress& p) {
                                      if (p.epoch == epoch) stop.request_stop();
                                    },
                                    stop.get_token())
                                    .status();
    ASSERT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
  }
  std::string Read() const {
    std::ifstream file(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void Write(const std::string& bytes) const { std::ofstream(path(), std::ios::binary) << bytes; }
  absl::StatusCode Resumed() const { return Train(request_, table_).status().code(); }

  fs::path folder_;
  Rows<double> table_;
  TrainRequest request_;
};

TEST_F(CheckpointTest, ARunCutShortGoesOnBitForBit) {
  TrainRequest plain = request_;
  plain.checkpoint = {};
  const absl::StatusOr<Model> whole = Train(plain, table_);
  ASSERT_TRUE(whole.ok()) << whole.status();
  for (const int epoch : {1, 3, 5}) {
    CutShort(epoch);
    EXPECT_TRUE(fs::exists(path()));
    std::vector<std::int64_t> epochs;
    const absl::StatusOr<Model> resumed =
        Train(request_, table_, 1, [&](const TrainProgress& p) { epochs.push_back(p.epoch); });
    ASSERT_TRUE(resumed.ok()) << resumed.status();
    EXPECT_EQ(epochs.front(), epoch + 1);
    EXPECT_EQ(epochs.back(), 6);
    ExpectSameModel(*resumed, *whole);
    EXPECT_FALSE(fs::exists(path())) << "of no more use once the run is over";
  }
}

TEST_F(CheckpointTest, MayBeCutShortTwice) {
  TrainRequest plain = request_;
  plain.checkpoint = {};
  CutShort(2);
  CutShort(4);
  const absl::StatusOr<Model> resumed = Train(request_, table_);
  ASSERT_TRUE(resumed.ok());
  ExpectSameModel(*resumed, *Train(plain, table_));
}

TEST_F(CheckpointTest, IsWrittenWhenTheIntervalIsOver) {
  request_.checkpoint.interval = absl::Hours(1);
  CutShort(4);
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(CheckpointTest, DamagedFilesAreDataLoss) {
  CutShort(2);
  const std::string whole = Read();
  ASSERT_GT(whole.size(), 1000u);
  for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{21}, std::size_t{30},
                                   whole.size() / 2, whole.size() - 1}) {
    Write(whole.substr(0, length));
    EXPECT_EQ(Resumed(), absl::StatusCode::kDataLoss) << "truncated to " << length;
  }
  for (std::size_t at = 0; at < whole.size(); at += whole.size() / 23) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    Write(flipped);
    EXPECT_EQ(Resumed(), absl::StatusCode::kDataLoss) << "flipped at " << at;
  }
  Write(whole + "more");
  EXPECT_EQ(Resumed(), absl::StatusCode::kDataLoss);
  Write(std::string(100000, 'x'));
  EXPECT_EQ(Resumed(), absl::StatusCode::kDataLoss);
  Write(whole);
  EXPECT_EQ(Resumed(), absl::StatusCode::kOk) << "none of it spoiled the run that was asked for";
}

TEST_F(CheckpointTest, ThoseOfAnotherRunAreRefused) {
  CutShort(2);
  const TrainRequest same = request_;
  const Rows<double> table = table_;
  const std::vector<std::function<void()>> changes = {
      [&] { request_.options.seed = 8; },
      [&] { request_.options.max_epochs = 7; },
      [&] { request_.options.learning_rate = 1e-3; },
      [&] { request_.options.learning_rate = 1e-3 * (1 + 1e-9); },
      [&] { request_.options.batch_size = 64; },
      [&] { request_.options.validation_fraction = 0.1 + 1e-12; },
      [&] { request_.options.ema_decay = 0.5; },
      [&] { request_.options.max_duration = absl::Hours(1); },
      [&] { request_.flow.stack.layers = 3; },
      [&] { request_.flow.stack.activation = Activation::kRelu; },
      [&] {
        request_.flow.stack.hidden_sizes = std::vector<int>{16, 16};
      },
      [&] {
        request_.columns = {{.name = "a"}, {.name = "b"}};
      },
      [&] {
        request_.columns = {{.name = "x0", .lower = -50.0}, {.name = "x1"}};
      },
      [&] {
        request_.columns = {{.name = "x0"}, {.name = "x1", .role = ColumnRole::kCondition}};
      },
      [&] { table_(17, 0) += 1e-9; },
      [&] { table_ = NormalTable(200, 2, 4); },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    request_ = same;
    table_ = table;
    changes[i]();
    EXPECT_EQ(Resumed(), absl::StatusCode::kFailedPrecondition) << i;
    EXPECT_TRUE(fs::exists(path())) << "not ours to remove";
  }
  request_ = same;
  table_ = table;
  EXPECT_EQ(Resumed(), absl::StatusCode::kOk);
}

TEST_F(CheckpointTest, WhereNoneCanBeWrittenTrainingSaysSo) {
  request_.checkpoint.path = folder_ / "missing" / "checkpoint";
  const absl::Status status = Train(request_, table_).status();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(std::string(status.message()).find("missing"), std::string::npos) << status;
}

}  // namespace
}  // namespace millrace
