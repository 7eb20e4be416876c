#pragma once
// The family of exceptions. A message says where, what was expected and what came.

#include <initializer_list>
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

namespace detail {

/// One argument of a message, by reference. The code that prints it is compiled once per type, not once per
/// message.
class Piece {
 public:
  Piece(const char* text) : value_{text}, print_{&print_text} {}
  template <class T>
  Piece(const T& value) : value_{&value}, print_{&print_value<T>} {}

  void print(std::ostream& out) const { print_(out, value_); }

 private:
  static void print_text(std::ostream& out, const void* text) { out << static_cast<const char*>(text); }
  template <class T>
  static void print_value(std::ostream& out, const void* value) {
    out << *static_cast<const T*>(value);
  }

  const void* value_;
  void (*print_)(std::ostream&, const void*);
};

[[gnu::noinline]] inline std::string text_of(std::initializer_list<Piece> pieces) {
  std::ostringstream out;
  for (const Piece& piece : pieces) piece.print(out);
  return out.str();
}

template <class E>
[[noreturn, gnu::cold, gnu::noinline]] void raise(std::initializer_list<Piece> pieces) {
  throw E(text_of(pieces));
}

}  // namespace detail

/// Text of all arguments, one after the other, as operator<< prints them.
template <class... Args>
std::string concat(const Args&... args) {
  return detail::text_of({detail::Piece(args)...});
}

/// Throws E with the text of args.
template <class E, class... Args>
[[noreturn]] void fail(const Args&... args) {
  detail::raise<E>({detail::Piece(args)...});
}

/// Throws E with the text of args unless condition holds; args are evaluated but formatted only on failure.
template <class E, class... Args>
void require(bool condition, const Args&... args) {
  if (!condition) [[unlikely]]
    fail<E>(args...);
}

}  // namespace loru::inline LORU_ISA
