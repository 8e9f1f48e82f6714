// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/event_outbox.h"

#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "millrace/v1/train_messages.pb.h"

namespace millrace {
namespace {

v1::TrainResponse Accepted() {
  v1::TrainResponse event;
  event.mutable_accepted();
  return event;
}

v1::TrainResponse Progress(std::uint32_t epoch) {
  v1::TrainResponse event;
  event.mutable_progress()->set_epoch(epoch);
  return event;
}

class EventOutboxTest : public testing::Test {
 protected:
  // "accepted", or the epoch of a progress.
  void Write(const v1::TrainResponse& event) {
    written_.push_back(event.has_accepted() ? "accepted"
                                            : std::to_string(event.progress().epoch()));
  }
  void Finish(absl::Status status) {
    EXPECT_FALSE(final_.has_value()) << "finished twice";
    final_ = std::move(status);
  }

  std::vector<std::string> written_;
  std::optional<absl::Status> final_;
  EventOutbox<v1::TrainResponse> outbox_{
      [this](const v1::TrainResponse& event) { Write(event); },
      [this](absl::Status status) { Finish(std::move(status)); }};
};

using Events = std::vector<std::string>;

TEST_F(EventOutboxTest, WritesOneAtATimeAndDropsProgressThatIsOld) {
  outbox_.Send(Progress(1));
  outbox_.Send(Progress(2));  // 1 is on its way and stays
  outbox_.Send(Progress(3));
  outbox_.Send(Accepted());
  outbox_.Send(Progress(4));
  EXPECT_EQ(written_, Events{"1"});
  for (int i = 0; i < 4; ++i) outbox_.Written(true);
  EXPECT_EQ(written_, (Events{"1", "3", "accepted", "4"}));
}

TEST_F(EventOutboxTest, FinishesAfterTheLastWrite) {
  outbox_.Send(Progress(1));
  outbox_.Send(Accepted());
  outbox_.End(absl::OkStatus());
  outbox_.Written(true);
  EXPECT_FALSE(final_.has_value());
  outbox_.Written(true);
  EXPECT_EQ(final_, absl::OkStatus());
}

TEST_F(EventOutboxTest, FinishesAfterTheLastHold) {
  outbox_.Hold();
  outbox_.Hold();
  outbox_.End(absl::AbortedError("x"));
  outbox_.Release();
  EXPECT_FALSE(final_.has_value());
  outbox_.Release();
  EXPECT_EQ(final_, absl::AbortedError("x"));
  outbox_.Hold();  // too late: no second end
  outbox_.Release();
}

TEST_F(EventOutboxTest, AFailedWriteIsTheLastAndNoSuccess) {
  outbox_.Send(Progress(1));
  outbox_.Send(Accepted());
  outbox_.Written(false);
  outbox_.Send(Progress(2));
  EXPECT_EQ(written_, Events{"1"});
  outbox_.End(absl::OkStatus());
  ASSERT_TRUE(final_.has_value());
  EXPECT_TRUE(absl::IsCancelled(*final_)) << *final_;
}

}  // namespace
}  // namespace millrace
