// SPDX-License-Identifier: Apache-2.0
#include "server/app/batch_cut.h"

#include <string>

#include "gtest/gtest.h"

namespace millrace {
namespace {

constexpr BatchLimits kLimits{.max_evaluations = 100, .max_queries = 4};
constexpr int kModels[2] = {};
const void* const kA = &kModels[0];
const void* const kB = &kModels[1];
constexpr Operation kLogProb = Operation::kLogProb;
constexpr Operation kSample = Operation::kSample;

TEST(CutBatch, Table) {
  struct Case {
    std::string what;
    std::vector<BatchCandidate> waiting;
    std::vector<std::size_t> batch;
    BatchLimits limits = kLimits;
  };
  const Case cases[] = {
      {"one", {{kA, kLogProb, 1}}, {0}},
      {"all of one kind", {{kA, kLogProb, 1}, {kA, kLogProb, 2}, {kA, kLogProb, 3}}, {0, 1, 2}},
      {"not another model's", {{kA, kLogProb, 1}, {kB, kLogProb, 1}, {kA, kLogProb, 1}}, {0, 2}},
      {"not another operation", {{kA, kLogProb, 1}, {kA, kSample, 1}, {kA, kLogProb, 1}}, {0, 2}},
      {"what runs alone does so at the head",
       {{nullptr, kLogProb, 1}, {nullptr, kLogProb, 1}},
       {0}},
      {"and is passed over later",
       {{kA, kLogProb, 1}, {nullptr, kLogProb, 1}, {kA, kLogProb, 1}},
       {0, 2}},
      {"up to the limit", {{kA, kLogProb, 60}, {kA, kLogProb, 40}, {kA, kLogProb, 1}}, {0, 1}},
      {"the head is not always the first model",
       {{kB, kLogProb, 1}, {kA, kLogProb, 1}, {kB, kLogProb, 1}},
       {0, 2}},
      {"a small one does not overtake a large one of its kind",
       {{kA, kLogProb, 60}, {kA, kLogProb, 41}, {kA, kLogProb, 1}},
       {0}},
      {"a large one of another model is overtaken",
       {{kA, kLogProb, 1}, {kB, kLogProb, 500}, {kA, kLogProb, 1}},
       {0, 2}},
      {"what fills a batch runs alone", {{kA, kLogProb, 100}, {kA, kLogProb, 1}}, {0}},
      {"more than a batch holds", {{kA, kLogProb, 5000}, {kA, kLogProb, 1}}, {0}},
      {"a large one waits its turn",
       {{kA, kLogProb, 1}, {kA, kLogProb, 5000}, {kA, kLogProb, 1}},
       {0}},
      {"most queries", std::vector<BatchCandidate>(6, {kA, kLogProb, 1}), {0, 1, 2, 3}},
      {"off",
       {{kA, kLogProb, 1}, {kA, kLogProb, 1}},
       {0},
       {.max_evaluations = 0, .max_queries = 4}},
      {"off by one",
       {{kA, kLogProb, 1}, {kA, kLogProb, 1}},
       {0},
       {.max_evaluations = 1, .max_queries = 4}},
  };
  for (const Case& test : cases)
    EXPECT_EQ(CutBatch(test.waiting, test.limits), test.batch) << test.what;
}

// Whatever comes in, the foremost is always taken: each waits for those before it at most.
TEST(CutBatch, NobodyStarves) {
  std::vector<BatchCandidate> waiting(5, {kA, kLogProb, 1});
  waiting.push_back({kB, kLogProb, 1});
  int cuts = 0;
  for (bool served = false; !served; ++cuts) {
    const std::vector<std::size_t> batch = CutBatch(waiting, kLimits);
    for (auto place = batch.rbegin(); place != batch.rend(); ++place) {
      served = served || waiting[*place].model == kB;
      waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(*place));
    }
    waiting.insert(waiting.end(), 4, {kA, kLogProb, 1});
  }
  EXPECT_EQ(cuts, 3);
}

}  // namespace
}  // namespace millrace
