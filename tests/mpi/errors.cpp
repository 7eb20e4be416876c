// Exceptions cross to another process with their type and text.
#include <loru/mpi/errors.hpp>

#include "support/catch.hpp"

using namespace loru;

namespace {

/// What arrives of an exception, thrown.
template <class Thrown>
void cross(const Thrown& error) {
  std::rethrow_exception(mpi::to_error(mpi::to_bytes(std::make_exception_ptr(error))));
}

struct Stranger {};

}  // namespace

TEMPLATE_TEST_CASE("An error arrives as what it was", "", DivergedError, DataError, ConfigError, IoError,
                   ShapeError, GraphError, Error) {
  try {
    cross(TestType("round 3, client 7: loss is not finite"));
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(typeid(error) == typeid(TestType));
    CHECK(std::string(error.what()) == "round 3, client 7: loss is not finite");
  }
}

TEST_CASE("Other exceptions arrive as memory that ran out, or with their text") {
  CHECK_THROWS_AS(cross(std::bad_alloc()), std::bad_alloc);
  CHECK_THROWS_WITH(cross(std::out_of_range("beyond")), "beyond");
  CHECK_THROWS_WITH(cross(Stranger{}), "an unknown exception");
}
