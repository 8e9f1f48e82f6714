// SPDX-License-Identifier: Apache-2.0
// Students of a teacher's density.
#include "core/train/distill.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "core/base/error_detail.h"
#include "core/flow/architectures.h"
#include "core/score/density.h"
#include "core/train/unrolled.h"
#include "tests/core/train/tables.h"

namespace millrace {
namespace {

TrainRequest Quick(int epochs) {
  TrainRequest request;
  request.options.max_epochs = epochs;
  request.options.seed = 1;
  return request;
}

std::shared_ptr<const Model> Teach(const Rows<double>& table, TrainRequest request,
                                   Backend& backend) {
  absl::StatusOr<Model> model = TrainModel(request, table.view(), backend, {}, {});
  EXPECT_TRUE(model.ok()) << model.status();
  return std::make_shared<const Model>(*std::move(model));
}

class DistillTest : public testing::Test {
 protected:
  const std::unique_ptr<Backend> backend_ = CreateCpuBackend();
};

// By default a student is its teacher unrolled, inverse autoregressive, and comes near.
TEST_F(DistillTest, UnrolledLearnsTwoMoons) {
  for (const Architecture architecture : {Architecture::kMaf, Architecture::kNsfAutoregressive}) {
    SCOPED_TRACE(NameOf(architecture));
    TrainRequest request = Quick(30);
    request.flow.stack = {.architecture = architecture, .layers = 3};
    const auto teacher = Teach(TwoMoons::Table(1000, 1), request, *backend_);
    ASSERT_FALSE(teacher->report.gaussian_fallback);
    const auto divergence = [&](int steps) {
      const absl::StatusOr<Model> student =
          Distill({.teacher = teacher, .options = {.steps = steps, .samples = 5000, .seed = 2}},
                  *backend_, {}, {});
      EXPECT_TRUE(student.ok()) << student.status();
      EXPECT_EQ(student->spec, Unrolled(teacher->spec));
      EXPECT_NEAR(student->report.density_fit->log_normaliser, 0.0, 0.05);
      return student->report.density_fit->divergence;
    };
    const double start = divergence(1), end = divergence(200);
    EXPECT_LT(start, 0.5);
    EXPECT_LT(end, std::min(0.02, 0.5 * start));
  }
}

// Couplings draw in one pass already: their student is an IAF, from the start that any flow has.
TEST_F(DistillTest, IafLearnsFromCouplings) {
  TrainRequest request = Quick(30);
  request.flow.stack = {.architecture = Architecture::kRealNvp, .layers = 4};
  const auto teacher = Teach(TwoMoons::Table(1000, 1), request, *backend_);
  const absl::StatusOr<Model> student =
      Distill({.teacher = teacher, .options = {.steps = 500, .samples = 5000, .seed = 2}},
              *backend_, {}, {});
  ASSERT_TRUE(student.ok()) << student.status();
  EXPECT_EQ(student->spec.stack->architecture, Architecture::kIaf);
  EXPECT_LT(student->report.density_fit->divergence, 0.3);  // 1.7 at the start
}

TEST_F(DistillTest, StudentSharesTheTeachersColumns) {
  // A discrete column beside a continuous one that depends on it, in units of their own.
  Rows<double> table = NormalTable(400, 2, 5);
  for (int r = 0; r < 400; ++r) {
    table(r, 0) = std::round(4 * table(r, 0));
    table(r, 1) = 1000.0 + 20.0 * table(r, 1) + 10.0 * table(r, 0);
  }
  TrainRequest request = Quick(5);
  request.flow.stack = {.layers = 1};
  const auto teacher = Teach(table, request, *backend_);
  DistillRequest distill{.teacher = teacher};
  distill.flow.stack = {.layers = 1, .hidden_sizes = std::vector<int>{16}};
  distill.options = {.batch_size = 128, .steps = 400, .samples = 2000};
  absl::StatusOr<Model> student = Distill(distill, *backend_, {}, {});
  ASSERT_TRUE(student.ok()) << student.status();
  EXPECT_TRUE(std::ranges::equal(student->columns.columns(), teacher->columns.columns()));
  EXPECT_LT(student->report.density_fit->divergence, 0.02);
  EXPECT_EQ(student->report.density_fit->samples, 2000);
  const auto of_teacher = *Density::Create(teacher, *backend_);
  const auto of_student = *Density::Create(std::make_shared<Model>(*std::move(student)), *backend_);
  const auto expected = *of_teacher->LogProb(table.view(), {});
  const auto actual = *of_student->LogProb(table.view(), {});
  double difference = 0.0;
  for (int r = 0; r < 400; ++r) difference += (expected.log_prob[r] - actual.log_prob[r]) / 400;
  EXPECT_LT(std::fabs(difference), 0.05);
}

TEST_F(DistillTest, RefusesATeacherWithConditions) {
  TrainRequest request = Quick(1);
  request.columns = {{.name = "x"}, {.name = "c", .role = ColumnRole::kCondition}};
  request.flow.stack = {.layers = 1};
  const auto teacher = Teach(NormalTable(200, 2, 3), request, *backend_);
  const absl::Status status = Distill({.teacher = teacher}, *backend_, {}, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(DetailOf(status).field, "teacher");
}

TEST_F(DistillTest, StopsWhenAsked) {
  TrainRequest request = Quick(1);
  request.flow.stack = {.layers = 1};
  const auto teacher = Teach(NormalTable(200, 2, 3), request, *backend_);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(Distill({.teacher = teacher}, *backend_, {}, stop.get_token()).status().code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace millrace
