// SPDX-License-Identifier: Apache-2.0
// What a server is made of, for those who answer calls. Everything outlives every call.
#ifndef MILLRACE_SERVER_APP_APP_H_
#define MILLRACE_SERVER_APP_APP_H_

#include "core/flow/backend.h"
#include "server/app/config.h"
#include "server/app/metrics.h"
#include "server/app/model_repository.h"
#include "server/app/training_jobs.h"
#include "server/app/work_queue.h"

namespace millrace {

struct App {
  const Config& config;
  Backend& backend;
  Metrics& metrics;
  ModelRepository& repository;
  WorkQueue& queue;
  TrainingJobs& trainings;
};

}  // namespace millrace

#endif  // MILLRACE_SERVER_APP_APP_H_
