// SPDX-License-Identifier: Apache-2.0
// Tables that make density estimators fall over: whatever is in them, the model is finite and never
// worse than a full-covariance Gaussian on the rows held out, nor on rows it never saw.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "core/score/density.h"
#include "core/train/gaussian.h"
#include "core/train/nats.h"
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

using Draw = std::function<Rows<double>(std::int64_t rows, std::uint64_t seed)>;

struct OnFreshRows {
  Nats advantage;  // over a maximum-likelihood Gaussian of the whole table
  bool fallback;
};

// Of 2,000 rows that the trainer never saw.
OnFreshRows TrainAndCompare(TrainRequest request, const Rows<double>& table,
                            const Rows<double>& fresh) {
  request.options.max_epochs = 30;
  auto model = std::make_shared<Model>(*Train(request, table));
  const std::vector<double> gaussian =
      Gaussian::Fit(model->columns, table.view(), {})->LogProb(fresh.view());
  const auto backend = CreateCpuBackend({.threads = 2});
  const auto density = *Density::Create(model, *backend);
  return {Advantage(density->LogProb(fresh.view(), {})->log_prob, gaussian),
          model->report.gaussian_fallback};
}

// The tenth that calibrates is not fitted to, which costs a Gaussian of p parameters p / 18 rows
// nats.
void ExpectAheadOnFreshRows(const Draw& draw, std::int64_t rows, const std::string& what) {
  const Rows<double> fresh = draw(2000, 77);
  const int cols = fresh.cols();
  const double calibration = cols * (cols + 3) / 2.0 / (18.0 * static_cast<double>(rows));
  for (const std::uint64_t seed : {0, 1, 2}) {
    TrainRequest request;
    request.options.seed = seed;
    const OnFreshRows found = TrainAndCompare(request, draw(rows, seed), fresh);
    EXPECT_GE(found.advantage.mean, -calibration - 2.0 * found.advantage.standard_error)
        << what << ", seed " << seed << ", fallback " << found.fallback;
  }
}

TEST(SmallTablesTest, FreshRowsOfFewForManyColumns) {
  ExpectAheadOnFreshRows(
      [](std::int64_t rows, std::uint64_t seed) { return NormalTable(rows, 12, 100 + seed); }, 60,
      "independent");
  ExpectAheadOnFreshRows(
      [](std::int64_t rows, std::uint64_t seed) {
        return Changed(NormalTable(rows, 20, 200 + seed), [](Rows<double>& t, std::int64_t r) {
          for (int c = 1; c < 20; ++c) t(r, c) = 0.7 * t(r, c - 1) + 0.3 * t(r, c);
        });
      },
      100, "a chain of correlated columns");
}

TEST(SmallTablesTest, FreshRowsOfColumnsThatOthersAlmostDetermine) {
  for (const double noise : {1e-2, 1e-3, 1e-4})
    ExpectAheadOnFreshRows(
        [noise](std::int64_t rows, std::uint64_t seed) {
          return Changed(
              NormalTable(rows, 3, 400 + seed),
              [noise](Rows<double>& t, std::int64_t r) { t(r, 2) = t(r, 0) + noise * t(r, 2); });
        },
        2000, "noise " + std::to_string(noise));
}

TEST(SmallTablesTest, FreshRowsOfCounts) {
  ExpectAheadOnFreshRows(
      [](std::int64_t rows, std::uint64_t seed) {
        return Changed(NormalTable(rows, 4, 500 + seed), [](Rows<double>& t, std::int64_t r) {
          t(r, 1) = std::round(3.0 * (t(r, 0) + 0.5 * t(r, 1)));
          t(r, 2) = std::floor(std::exp(t(r, 2)));
          t(r, 3) = t(r, 3) > 0.0 ? 1.0 : 0.0;
        });
      },
      300, "counts");
}

// Rows hundreds of deviations off are what a mean over held-out rows is made of: a normal base pays
// nats by the thousand for them.
TEST(SmallTablesTest, FreshRowsOfHeavyTails) {
  const Draw draw = [](std::int64_t rows, std::uint64_t seed) {
    return Changed(NormalTable(rows, 6, 300 + seed), [](Rows<double>& t, std::int64_t r) {
      const double size = std::exp(2.0 * t(r, 5));
      for (int c = 0; c < 5; ++c) t(r, c) = size * (t(r, c) + 0.9 * t(r, 0));
    });
  };
  const Rows<double> fresh = draw(2000, 77);
  for (const std::uint64_t seed : {0, 1, 2}) {
    TrainRequest request;
    request.options.seed = seed;
    const OnFreshRows heavy = TrainAndCompare(request, draw(600, seed), fresh);
    request.flow.stack.heavy_tails = false;
    const OnFreshRows normal = TrainAndCompare(request, draw(600, seed), fresh);
    EXPECT_GT(heavy.advantage.mean, 1.0) << seed;
    EXPECT_GT(heavy.advantage.mean, normal.advantage.mean + 1.0) << seed;
  }
}

}  // namespace
}  // namespace millrace
