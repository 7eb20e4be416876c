#pragma once
// How fast CUDA devices are, by compute capability, for the planner: peaks of NVIDIA's data sheets, not
// measured. A plan goes by the device alone, whatever the host is.

#include <algorithm>
#include <array>

#include <loru/ops/rates.hpp>

namespace loru::cuda {

/// What a data sheet says of a device: TFLOP/s of float arithmetic without tensor cores, GB/s of its memory.
struct DataSheet {
  int major, minor;
  const char* device;
  double tflops, bandwidth;
};

/// One device of each capability: the data-centre device where there is one.
inline constexpr std::array data_sheets{
    DataSheet{8, 0, "A100 80GB SXM", 19.5, 2039.0},      DataSheet{8, 6, "A40", 37.4, 696.0},
    DataSheet{8, 7, "Jetson AGX Orin 64GB", 5.3, 204.8}, DataSheet{8, 9, "L40", 90.5, 864.0},
    DataSheet{9, 0, "H100 SXM", 67.0, 3350.0},           DataSheet{10, 0, "B200", 75.0, 8000.0},
    DataSheet{12, 0, "RTX 5090", 104.8, 1792.0}};

/// The data sheet of a capability. For an unknown one, that of the next lower capability, or the first.
constexpr DataSheet data_sheet(int major, int minor) {
  DataSheet found = data_sheets.front();
  for (const DataSheet& sheet : data_sheets)
    if (sheet.major < major || (sheet.major == major && sheet.minor <= minor)) found = sheet;
  return found;
}

/// Rates of a capability, not measured. Products of 16 columns or more run at the peak, since there are tiles
/// of 16 columns; products of 8 columns at half the peak, since half of a tile is idle. A launch is taken to
/// cost 4 microseconds. Windows and transforms never stand in memory, and there are no filterings.
constexpr cost::Rates capability_rates(int major, int minor) {
  const DataSheet sheet = data_sheet(major, minor);
  cost::Rates rates;
  for (std::size_t i = 0; i < cost::kind::memory; ++i) rates.of[i] = 1e3 * sheet.tflops;
  rates.of[cost::kind::product] = rates.of[cost::kind::filtering] = 0.5e3 * sheet.tflops;
  for (std::size_t i = cost::kind::memory; i < cost::kind::calls; ++i) rates.of[i] = sheet.bandwidth;
  rates.of[cost::kind::calls] = 0.25;
  return rates;
}

}  // namespace loru::cuda
