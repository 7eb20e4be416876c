#pragma once
// What a device must be able to do.
//
// A device's ops are free functions in the namespace of its tag, found by argument-dependent lookup.

#include <concepts>

#include <loru/ops/list.hpp>
#include <loru/ops/work.hpp>

namespace loru::inline LORU_ISA {

// clang-format off
#define LORU_REQUIRE_OP(name, parameters, arguments, ...)                        \
  && requires parameters { { name arguments } -> std::same_as<__VA_ARGS__>; }

/// Device D computes every op of the list on scalars T, and can be planned for. A missing op is an error that
/// names it.
template <class D, class T>
concept Backend = Device<D>
    LORU_OPS(LORU_REQUIRE_OP, T, D)
    LORU_COPY_OPS(LORU_REQUIRE_OP, T, D)
    LORU_COPY_OPS(LORU_REQUIRE_OP, float, D)
    LORU_COPY_OPS(LORU_REQUIRE_OP, double, D)
    LORU_COPY_OPS(LORU_REQUIRE_OP, std::int32_t, D)
    LORU_COPY_OPS(LORU_REQUIRE_OP, std::uint8_t, D)
    && Planned<D>;

/// Device D computes the ops on sequences, too: it runs transformers.
template <class D, class T>
concept SequenceBackend = Backend<D, T>
    LORU_SEQUENCE_OPS(LORU_REQUIRE_OP, T, D);
// clang-format on

#undef LORU_REQUIRE_OP

}  // namespace loru::inline LORU_ISA
