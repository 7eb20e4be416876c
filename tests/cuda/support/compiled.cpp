// The low-rank ops of the emulated device, instantiated once for all tests.
#include <loru/cuda/ops/lowrank.cuh>

namespace loru::cuda {

template LowrankFeatures<float, Cuda> lowrank_forward(const Array<float>&, const Array<float>&,
                                                      const Array<float>&, const Array<float>&, double);
template LowrankGradients<float, Cuda> lowrank_backward(const Array<float>&, const Array<float>&,
                                                        const Array<float>&, const Array<float>&,
                                                        const Array<float>&, const Array<float>&, double,
                                                        LowrankWanted);
template void lowrank_merge(Array<float>&, const Array<float>&, const Array<float>&, double);
template Array<float> lowrank_compose(const Array<float>&, const Array<float>&, const Array<float>&, double);

}  // namespace loru::cuda
