// SPDX-License-Identifier: Apache-2.0
// Tables that make density estimators fall over: whatever is in them, the model is finite and never
// worse than a full-covariance Gaussian on the rows held out.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "core/score/density.h"
#include "tests/core/train/tables.h"

namespace millrace {
namespace {

void ExpectSound(const Rows<double>& table, const std::string& what) {
  for (const std::uint64_t seed : {0, 1, 2}) {
    TrainRequest request;
    request.options.seed = seed;
    request.options.max_epochs = 30;
    absl::StatusOr<Model> model = Train(request, table);
    ASSERT_TRUE(model.ok()) << what << ": " << model.status();
    const TrainingReport& report = model->report;
    EXPECT_TRUE(AllFinite(model->parameters.span())) << what;
    for (const Nats& nats :
         {report.fit, report.validation, report.held_out, report.gaussian_held_out}) {
      EXPECT_TRUE(std::isfinite(nats.mean)) << what;
      EXPECT_TRUE(std::isfinite(nats.standard_error)) << what;
      EXPECT_GT(nats.rows, 0) << what;
    }
    EXPECT_GE(report.held_out.mean,
              report.gaussian_held_out.mean -
                  1e-4 * std::max(1.0, std::abs(report.gaussian_held_out.mean)))
        << what << ", seed " << seed << ", fallback " << report.gaussian_fallback;
    const auto backend = CreateCpuBackend({.threads = 2});
    const auto density = Density::Create(std::make_shared<Model>(*std::move(model)), *backend);
    const auto scored = (*density)->LogProb(table.view(), {});
    ASSERT_TRUE(scored.ok());
    for (const double value : scored->log_prob) EXPECT_FALSE(std::isnan(value)) << what;
    EXPECT_TRUE((*density)->Sample(1, 0, 20, 1.0, {}).ok()) << what;
  }
}

Rows<double> Changed(Rows<double> table,
                     const std::function<void(Rows<double>&, std::int64_t)>& change) {
  for (std::int64_t r = 0; r < table.rows(); ++r) change(table, r);
  return table;
}

TEST(SmallTablesTest, EveryShape) {
  for (const std::int64_t rows : {8, 9, 20, 60})
    for (const int cols : {1, 2, 5, 12})
      ExpectSound(NormalTable(rows, cols, rows + cols),
                  std::to_string(rows) + " rows of " + std::to_string(cols));
}

TEST(SmallTablesTest, CollinearColumns) {
  for (const std::int64_t rows : {8, 30, 60}) {
    ExpectSound(Changed(NormalTable(rows, 4, 1),
                        [](Rows<double>& t, std::int64_t r) {
                          t(r, 1) = t(r, 0);
                          t(r, 3) = 1e6 * (t(r, 0) - t(r, 2)) + 3.0;
                        }),
                "collinear");
  }
}

TEST(SmallTablesTest, RowsThatRepeat) {
  for (const std::int64_t rows : {8, 30, 60})
    ExpectSound(Changed(NormalTable(rows, 3, 2),
                        [](Rows<double>& t, std::int64_t r) {
                          for (int c = 0; c < 3; ++c) t(r, c) = t(r % 3, c);
                        }),
                "repeated");
}

TEST(SmallTablesTest, OneOutlier) {
  for (const std::int64_t at : {0, 1, 2, 3, 11})
    for (const int cols : {1, 3}) {
      Rows<double> table = NormalTable(60, cols, 3);
      for (std::int64_t r = 0; r < 60 && cols == 3; ++r)
        table(r, 1) = 0.99 * table(r, 0) + 0.1 * table(r, 1);
      table(at, 0) = 1e6;
      ExpectSound(table, "an outlier in row " + std::to_string(at));
    }
}

TEST(SmallTablesTest, RareEventsAndCounts) {
  ExpectSound(Changed(NormalTable(200, 5, 4),
                      [](Rows<double>& t, std::int64_t r) {
                        t(r, 1) = t(r, 1) > 1.6 ? 1.0 : 0.0;
                        t(r, 2) = t(r, 2) > 2.0 ? 1.0 : 0.0;
                        t(r, 3) = std::max(0.0, std::round(3.0 * t(r, 3)));
                        t(r, 4) = std::max(0.0, t(r, 4));
                      }),
              "rare events");
}

TEST(SmallTablesTest, HeavyTails) {
  ExpectSound(Changed(NormalTable(60, 2, 5),
                      [](Rows<double>& t, std::int64_t r) { t(r, 0) = std::exp(4.0 * t(r, 0)); }),
              "heavy tails");
}

TEST(SmallTablesTest, ScalesFarApart) {
  ExpectSound(Changed(NormalTable(40, 3, 6),
                      [](Rows<double>& t, std::int64_t r) {
                        t(r, 0) *= 1e-30;
                        t(r, 1) = 1e12 + t(r, 1);
                        t(r, 2) *= 1e30;
                      }),
              "scales");
}

}  // namespace
}  // namespace millrace
