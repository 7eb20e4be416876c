#pragma once
// What nearly every test includes, precompiled. Headers of loru itself stay out, but for the one that holds
// Eigen.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <vector>

#if __has_include(<loru/cpu/simd.hpp>)
#include <loru/cpu/simd.hpp>
#endif

#include "support/catch.hpp"
