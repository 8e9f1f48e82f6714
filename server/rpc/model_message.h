// SPDX-License-Identifier: Apache-2.0
// Models, reports and progress as messages.
#ifndef MILLRACE_SERVER_RPC_MODEL_MESSAGE_H_
#define MILLRACE_SERVER_RPC_MODEL_MESSAGE_H_

#include "core/model.h"
#include "core/train/train_model.h"
#include "millrace/v1/model.pb.h"
#include "millrace/v1/train_messages.pb.h"
#include "server/app/model_repository.h"

namespace millrace {

void WriteModel(const ServedModel& served, v1::Model* message);
void WriteAttribute(const AttributeVector& attribute, v1::AttributeVector* message);
void WriteReport(const TrainingReport& report, v1::TrainingReport* message);
void WriteDone(const ServedModel& served, v1::TrainDone* message);  // one that serves
void WriteProgress(const TrainProgress& progress, v1::TrainProgress* message);

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_MODEL_MESSAGE_H_
