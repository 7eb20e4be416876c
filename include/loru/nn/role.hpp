#pragma once
// What a tensor of a model is, and the one place where names of factors are spelt.

#include <string>

#include <loru/core/isa.hpp>

namespace loru::inline LORU_ISA::nn {

/// What a tensor of a model is. Its parametrisation says so when it is visited. Code that chooses tensors
/// asks for their roles, not for their names.
enum class Role : unsigned char {
  dense,      ///< a parameter without factors: a dense weight, a bias, scale and shift of a normalisation
  frozen,     ///< the weight W of a layer beside its factors, or a factor that stands still
  down,       ///< A (r, n) of W + s·B·A, or V of U·V
  up,         ///< B (m, r) of W + s·B·A, or U of U·V
  inner,      ///< a factor nested in A or B or between them
  first,      ///< a factor of W_1 of a Hadamard product
  second,     ///< a factor of W_2 of a Hadamard product
  statistic,  ///< a buffer: running statistics
};

/// Whether a tensor of this role is a factor of the server, of which a client may have fewer directions.
constexpr bool is_factor(Role role) { return role == Role::down || role == Role::up; }

/// Name and role of a tensor. Converts to the name.
struct TensorId {
  std::string name;
  Role role = Role::dense;

  operator const std::string&() const { return name; }
};

/// "prefix.name", or "name" at the top.
inline std::string join_name(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

/// The name of W.
inline std::string weight_name(const std::string& layer) { return join_name(layer, "weight"); }

/// The name of A (Role::down) or B (Role::up) of a layer's W + s·B·A.
inline std::string factor_name(const std::string& layer, Role role) {
  return join_name(layer, role == Role::down ? "lora_A.weight" : "lora_B.weight");
}

/// The name of V (Role::down) or U (Role::up) of a layer's U·V.
inline std::string product_name(const std::string& layer, Role role) {
  return join_name(layer, role == Role::down ? "product_V.weight" : "product_U.weight");
}

/// The name of a factor nested in A or B (`of`): A_d and B_d (`part` down), A_u and B_u (up).
inline std::string inner_name(const std::string& layer, Role of, Role part) {
  return join_name(layer, std::string(of == Role::down ? "lora_A" : "lora_B") +
                              (part == Role::down ? "_down.weight" : "_up.weight"));
}

/// The name of A (Role::down) or B (Role::up) of a layer's W + s·(B·A_0 + B_0·A), or of the fixed A_0 or B_0.
inline std::string aad_name(const std::string& layer, Role role, bool fixed) {
  return join_name(layer,
                   std::string(role == Role::down ? "aad_A" : "aad_B") + (fixed ? "0.weight" : ".weight"));
}

/// The name of A (Role::down), B (Role::up) or R (Role::inner) of a layer's W + s·B·R·A.
inline std::string core_name(const std::string& layer, Role role) {
  return join_name(layer, role == Role::down ? "core_A.weight"
                          : role == Role::up ? "core_B.weight"
                                             : "core_R.weight");
}

}  // namespace loru::inline LORU_ISA::nn
