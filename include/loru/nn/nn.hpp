#pragma once
// Room nn: layers, weights and their parametrisations, models.

#include <loru/nn/activation.hpp>
#include <loru/nn/batch_norm.hpp>
#include <loru/nn/conv2d.hpp>
#include <loru/nn/dropout.hpp>
#include <loru/nn/factored.hpp>
#include <loru/nn/flatten.hpp>
#include <loru/nn/group_norm.hpp>
#include <loru/nn/hadamard.hpp>
#include <loru/nn/init.hpp>
#include <loru/nn/linear.hpp>
#include <loru/nn/low_rank_product.hpp>
#include <loru/nn/models/cnn.hpp>
#include <loru/nn/models/lenet.hpp>
#include <loru/nn/models/logistic.hpp>
#include <loru/nn/models/mlp.hpp>
#include <loru/nn/models/models.hpp>
#include <loru/nn/models/options.hpp>
#include <loru/nn/models/resnet.hpp>
#include <loru/nn/module.hpp>
#include <loru/nn/nested.hpp>
#include <loru/nn/pool.hpp>
#include <loru/nn/residual.hpp>
#include <loru/nn/role.hpp>
#include <loru/nn/sequential.hpp>
#include <loru/nn/weight.hpp>
