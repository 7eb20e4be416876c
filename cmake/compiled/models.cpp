#include <loru/nn/models/models.hpp>

namespace loru::nn {

template Model<float, Cpu> cnn<float, Cpu>(const ModelOptions&);
template Model<float, Cpu> build<float, Cpu>(std::string_view, const ModelOptions&);
template Model<double, Cpu> build<double, Cpu>(std::string_view, const ModelOptions&);

}  // namespace loru::nn
