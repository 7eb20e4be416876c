#pragma once
// Room train: training and evaluating a model without a federation.

#include <loru/train/adapter_file.hpp>
#include <loru/train/device_data.hpp>
#include <loru/train/evaluate.hpp>
#include <loru/train/fit.hpp>
#include <loru/train/generate.hpp>
#include <loru/train/loop.hpp>
#include <loru/train/model_file.hpp>
#include <loru/train/predict.hpp>
#include <loru/train/published.hpp>
#include <loru/train/task.hpp>
#include <loru/train/tasks/classification.hpp>
#include <loru/train/tasks/multilabel.hpp>
#include <loru/train/tasks/next_token.hpp>
#include <loru/train/tasks/regression.hpp>
#include <loru/train/tasks/tasks.hpp>
