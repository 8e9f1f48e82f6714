// SPDX-License-Identifier: Apache-2.0
// Jobs of several callers as one batch of a backend.
#ifndef MILLRACE_CORE_SCORE_JOB_BATCH_H_
#define MILLRACE_CORE_SCORE_JOB_BATCH_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/base/check.h"
#include "core/base/number_rows.h"
#include "core/base/rows.h"
#include "core/data/context_model.h"

namespace millrace {

// A job's rows follow those of the job before it, and each is `times` rows of the batch, one after
// the other. A job that fails does so alone: at the first of its rows that does, whatever threads
// came first to which row. Thread-safe once all jobs are added.
class JobBatch {
 public:
  // At most `jobs` jobs.
  JobBatch(const ContextModel& conditions, std::size_t jobs, int times)
      : conditions_(conditions), jobs_(new Job[jobs]), capacity_(jobs), times_(times) {}

  // What is referred to outlives the batch. A job that is refused, or whose context has not the
  // shape for its rows, has no rows in the batch.
  void Add(absl::Status refused, std::int64_t rows, const NumberRows& context,
           const std::stop_token& stop) {
    MILLRACE_CHECK(size_ < capacity_);
    Job& job = jobs_[size_++];
    if (refused.ok()) refused = conditions_.CheckShape(context, rows);
    job.begin = rows_;
    job.rows = refused.ok() ? rows : 0;
    job.context = &context;
    job.stop = &stop;
    job.first_failed = job.rows;
    job.refused = std::move(refused);
    rows_ += job.rows * times_;
  }

  // Of the batch.
  std::int64_t rows() const { return rows_; }

  // Rows [first, first + count) of a job; they begin at row `at` of a block of the batch.
  struct Part {
    std::size_t job;
    std::int64_t first;
    std::int64_t count;
    std::int64_t at;
  };
  // Calls use(part) for the parts of rows [first, first + count) of the batch, which are whole rows
  // of jobs.
  template <typename Use>
  void ForEachPart(std::int64_t first, std::int64_t count, const Use& use) const {
    const std::int64_t end = first + count;
    for (std::size_t j = JobAt(first); j < size_ && jobs_[j].begin < end; ++j) {
      const std::int64_t from = std::max(first, jobs_[j].begin);
      const std::int64_t to = std::min(end, jobs_[j].begin + jobs_[j].rows * times_);
      if (from < to)
        use(Part{j, (from - jobs_[j].begin) / times_, (to - from) / times_, from - first});
    }
  }

  // Whether the part's results can still count. Sees whether its job was stopped.
  bool IsWanted(const Part& part) const {
    Job& job = jobs_[part.job];
    if (job.stop->stop_requested()) job.stopped.store(true, std::memory_order_relaxed);
    return !job.stopped.load(std::memory_order_relaxed) &&
           part.first <= job.first_failed.load(std::memory_order_relaxed);
  }
  // Writes the context of a part's rows where they stand in a block's, [count, dim], zeros where
  // the part is not wanted; nothing where `block` is null. Rows that CheckContext refuses fail.
  void LoadContext(const Part& part, float* block) const {
    if (block == nullptr) return;
    const RowsView<float> rows{block + part.at * conditions_.dim(), part.count * times_,
                               conditions_.dim()};
    if (!IsWanted(part)) {
      std::fill_n(rows.data, rows.rows * rows.cols, 0.0f);
      return;
    }
    const NumberRows& context = *jobs_[part.job].context;
    for (std::int64_t r = 0; r < part.count; ++r) {
      const std::span<float> row = rows.row(r * times_);
      if (context.rows == 1 && r > 0) {
        std::ranges::copy(rows.row(0), row.begin());
      } else if (!conditions_.RowToModel(context, ContextRow(context, part.first + r), row)) {
        Fail(part, r);
      }
      for (int k = 1; k < times_; ++k) std::ranges::copy(row, rows.row(r * times_ + k).begin());
    }
  }
  // As ContextModel::CheckRow, of the context of a job's row.
  absl::Status CheckContext(std::size_t job, std::int64_t row) const {
    const NumberRows& context = *jobs_[job].context;
    if (context.rows == 0) return absl::OkStatus();
    return conditions_.CheckRow(context, ContextRow(context, row));
  }

  // Row part.first + r of the part's job has failed.
  void Fail(const Part& part, std::int64_t r) const {
    std::atomic<std::int64_t>& first = jobs_[part.job].first_failed;
    std::int64_t known = first.load(std::memory_order_relaxed);
    while (part.first + r < known &&
           !first.compare_exchange_weak(known, part.first + r, std::memory_order_relaxed)) {
    }
  }

  // What became of each job, given what the backend says of them all: CANCELLED where it was
  // stopped, explain(job, row) where a row failed.
  template <typename Explain>
  std::vector<absl::Status> Finish(const absl::Status& computed, const Explain& explain) const {
    std::vector<absl::Status> statuses;
    statuses.reserve(size_);
    for (std::size_t j = 0; j < size_; ++j) {
      const Job& job = jobs_[j];
      if (!job.refused.ok()) {
        statuses.push_back(job.refused);
      } else if (job.stopped) {
        statuses.push_back(absl::CancelledError("the computation was cancelled"));
      } else if (job.first_failed < job.rows) {
        statuses.push_back(explain(j, job.first_failed.load()));
      } else {
        statuses.push_back(computed);
      }
    }
    return statuses;
  }

 private:
  struct Job {
    std::int64_t begin = 0;  // in the batch
    std::int64_t rows = 0;
    const NumberRows* context = nullptr;
    const std::stop_token* stop = nullptr;
    std::atomic<std::int64_t> first_failed = 0;  // `rows`: none
    std::atomic<bool> stopped = false;
    absl::Status refused;
  };

  static std::int64_t ContextRow(const NumberRows& context, std::int64_t row) {
    return context.rows == 1 ? 0 : row;
  }

  // The last job that begins at or before a row of the batch.
  std::size_t JobAt(std::int64_t row) const {
    const Job* const after =
        std::upper_bound(jobs_.get(), jobs_.get() + size_, row,
                         [](std::int64_t r, const Job& job) { return r < job.begin; });
    return after == jobs_.get() ? 0 : static_cast<std::size_t>(after - jobs_.get()) - 1;
  }

  const ContextModel& conditions_;
  std::unique_ptr<Job[]> jobs_;
  std::size_t capacity_;
  std::size_t size_ = 0;
  int times_;
  std::int64_t rows_ = 0;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_SCORE_JOB_BATCH_H_
