#include <loru/train/train.hpp>

namespace loru::train {

template class Loop<float>;
template Evaluation evaluate<float, Cpu>(nn::Model<float>&, const DeviceData<Cpu>&, std::span<const Index>,
                                         WorkerPool&, const Task<float>&, Index);

}  // namespace loru::train
