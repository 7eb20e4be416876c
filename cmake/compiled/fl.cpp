#include <loru/fl/simulation/simulation.hpp>

namespace loru::fl {

template void get_state<float, Cpu>(const io::Archive&, nn::Model<float>&, const Selection&);
template io::Archive update_archive<float, Cpu>(nn::Model<float>&, const Head&, Index, double,
                                                const Selection&, const io::Archive&);
template class Average<float>;
template class MergeHistory<float>;
template void apply_missed_merges<float, Cpu>(const io::Archive&, nn::Model<float>&);
template double train<float, Cpu>(const Turn<float>&, const AdjustGradients<float>&);
template class Server<float>;
template class Simulation<float>;

}  // namespace loru::fl
