// expect: is_trivially_copyable
#include <string>

#include <loru/core/tensor.hpp>

loru::Tensor<std::string> words(loru::Shape{2});
