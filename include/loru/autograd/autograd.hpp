#pragma once
// Room autograd: variables, functions of them, backward passes and checks.

#include <loru/autograd/functions/activation.hpp>
#include <loru/autograd/functions/arithmetic.hpp>
#include <loru/autograd/functions/attention.hpp>
#include <loru/autograd/functions/bias.hpp>
#include <loru/autograd/functions/conv.hpp>
#include <loru/autograd/functions/embedding.hpp>
#include <loru/autograd/functions/epilogue.hpp>
#include <loru/autograd/functions/loss.hpp>
#include <loru/autograd/functions/lowrank.hpp>
#include <loru/autograd/functions/lowrank_conv.hpp>
#include <loru/autograd/functions/matmul.hpp>
#include <loru/autograd/functions/norm.hpp>
#include <loru/autograd/functions/pool.hpp>
#include <loru/autograd/functions/row_norm.hpp>
#include <loru/autograd/functions/shape.hpp>
#include <loru/autograd/functions/token_loss.hpp>
#include <loru/autograd/gradcheck.hpp>
#include <loru/autograd/hvp.hpp>
#include <loru/autograd/variable.hpp>
