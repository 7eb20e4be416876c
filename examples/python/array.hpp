#pragma once
// Arrays of numpy and tensors: without a copy from a tensor to an array where the memory is row-major.

#include <memory>
#include <string>

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <loru/data/dataset.hpp>
#include <loru/io/archive.hpp>

namespace loru_python {

namespace py = pybind11;
using loru::Index;

/// A tensor's memory as an array that keeps it alive; a copy only of channels-last memory.
py::array array_of(const loru::Tensor<float>& tensor);

/// The tensors of an archive by name, in its order, as arrays that nobody can write to.
py::dict arrays_of(const loru::io::Archive& archive);

/// The archive that such a dict is of. Its tensors are the arrays' memory, which the dict must keep alive.
loru::io::Archive archive_of(const py::dict& arrays, const std::string& origin);

/// Writes such a dict as a safetensors file. Throws DataError, IoError.
void save_arrays(const std::string& path, const py::dict& arrays);

loru::Shape shape_of(const py::array& array);

/// The name of an array's dtype, for messages.
std::string dtype_of(const py::array& array);

/// Samples x in the shape and type of `like`, (N, ...), with its normalisation; without targets each label is
/// 0. Throws DataError.
loru::data::Dataset samples_of(const py::array& x, const loru::data::Dataset& like);

/// The same with targets y: (N) of integers for classes, (N, k) of float32 for numbers, (N, k) of integers or
/// bool, 0 or 1, for labels of which several hold. Throws DataError.
loru::data::Dataset samples_of(const py::array& x, const py::array& y, const loru::data::Dataset& like);

}  // namespace loru_python
