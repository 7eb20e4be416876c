#pragma once
// The family of exceptions. A message says where, what was expected and what came.

#include <sstream>
#include <stdexcept>
#include <string>

#include <loru/core/isa.hpp>

namespace loru::inline LORU_ISA {

/// Base of everything the library throws on purpose.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Shapes, layouts or indices that do not fit together.
class ShapeError : public Error {
 public:
  using Error::Error;
};

/// A backward pass that cannot be done (freed graph, non-scalar loss, gradient not required).
class GraphError : public Error {
 public:
  using Error::Error;
};

/// Options or configuration keys that make no sense.
class ConfigError : public Error {
 public:
  using Error::Error;
};

/// A file or message whose content is not what its format promises.
class DataError : public Error {
 public:
  using Error::Error;
};

/// The operating system refused: missing, unreadable or unwritable files, memory.
class IoError : public Error {
 public:
  using Error::Error;
};

/// A loss or a parameter that is no longer finite.
class DivergedError : public Error {
 public:
  using Error::Error;
};

/// Text of all arguments, one after the other, as operator<< prints them.
template <class... Args>
std::string concat(const Args&... args) {
  std::ostringstream out;
  (out << ... << args);
  return out.str();
}

/// Throws E with the text of args.
template <class E, class... Args>
[[noreturn]] void fail(const Args&... args) {
  throw E(concat(args...));
}

/// Throws E with the text of args unless condition holds; args are evaluated but formatted only on failure.
template <class E, class... Args>
void require(bool condition, const Args&... args) {
  if (!condition) [[unlikely]]
    fail<E>(args...);
}

}  // namespace loru
