#include <loru/lowrank/factorize.hpp>

namespace loru {

template class nn::Factored<float>;
template class nn::Factored<double>;

template std::vector<std::string> lowrank::factorize<float, Cpu>(nn::Model<float>&, const FactorizeOptions&);
template std::vector<std::string> lowrank::factorize<double, Cpu>(nn::Model<double>&,
                                                                  const FactorizeOptions&);

}  // namespace loru
