#include "array.hpp"

#include <algorithm>
#include <utility>

#include <loru/io/safetensors.hpp>

namespace loru_python {

using loru::DataError, loru::fail, loru::require;
namespace data = loru::data;

namespace {

template <class T>
py::capsule keep(std::shared_ptr<T> owner) {
  using Owner = std::shared_ptr<T>;
  return py::capsule(new Owner(std::move(owner)), [](void* held) { delete static_cast<Owner*>(held); });
}

/// Keeps an object until whoever holds it is gone, on any thread.
std::shared_ptr<const void> hold(py::object object) {
  return {new py::object(std::move(object)), [](const void* held) {
            const py::gil_scoped_acquire gil;
            delete static_cast<const py::object*>(held);
          }};
}

std::vector<py::ssize_t> extents(const loru::Shape& shape) { return {shape.begin(), shape.end()}; }

py::dtype numpy_dtype(loru::io::DType dtype) {
  using loru::io::DType;
  switch (dtype) {
    case DType::f32: return py::dtype::of<float>();
    case DType::f64: return py::dtype::of<double>();
    case DType::i32: return py::dtype::of<std::int32_t>();
    case DType::i64: return py::dtype::of<std::int64_t>();
    case DType::u8: return py::dtype::of<std::uint8_t>();
    case DType::i8: return py::dtype::of<std::int8_t>();
    case DType::f16: return py::dtype("float16");
    case DType::bf16: return py::dtype::of<std::uint16_t>();  // numpy has no bfloat16: its bits
  }
  return py::dtype::of<std::uint8_t>();
}

loru::io::DType stored_dtype(const py::array& array, const std::string& origin, const std::string& name) {
  for (const loru::io::DType dtype : loru::io::dtypes)
    if (dtype != loru::io::DType::bf16 && array.dtype().equal(numpy_dtype(dtype))) return dtype;
  fail<DataError>(origin, ": tensor ", name, ": expected float32, got ", dtype_of(array));
}

/// The elements one after the other; a copy only where the array is strided.
template <class T>
py::array_t<T, py::array::c_style> contiguous(const py::array& array) {
  return py::array_t < T, py::array::c_style | py::array::forcecast > ::ensure(array);
}

template <class T>
std::vector<T> values_of(const py::array& array) {
  const auto values = contiguous<T>(array);
  return {values.data(), values.data() + values.size()};
}

template <class T>
bool holds(const py::array& array) {
  return array.dtype().equal(py::dtype::of<T>());
}

/// Numbers of any integer type, or of none.
struct Integers {
  explicit Integers(const py::array& array) {
    const char kind = array.dtype().kind();
    is = kind == 'i' || kind == 'u' || kind == 'b';
    if (is && kind == 'u' && array.itemsize() == sizeof(std::uint64_t))
      above = values_of<std::uint64_t>(array);
    else if (is)
      values = values_of<std::int64_t>(array);
  }

  /// Each as T, if all lie in [least, end). Throws DataError with `expected` for the first that does not.
  template <class T>
  std::vector<T> in(Index least, Index end, const std::string& expected) const {
    std::vector<T> all;
    const auto take = [&](const auto& numbers) {
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        require<DataError>(std::cmp_greater_equal(numbers[i], least) && std::cmp_less(numbers[i], end),
                           "y: sample ", i / width, ": expected ", expected, ", got ", numbers[i]);
        all.push_back(static_cast<T>(numbers[i]));
      }
    };
    take(values);
    take(above);
    return all;
  }

  bool is = false;
  std::size_t width = 1;  // numbers of a sample
  std::vector<std::int64_t> values;
  std::vector<std::uint64_t> above;  // of uint64
};

/// The samples alone.
data::Dataset features_of(const py::array& x, const data::Dataset& like) {
  require<DataError>(!like.sequences(), "x: expected no sequences: ", like.name, " has them");
  const loru::Shape shape = shape_of(x);
  loru::Shape sample;
  for (Index i = 1; i < shape.rank(); ++i) sample.push_back(shape[i]);
  require<DataError>(shape.rank() >= 1 && sample == like.sample, "x: expected samples of shape ", like.sample,
                     " as in ", like.name, ", got ", sample);
  const bool bytes = like.features.index() == 0;
  require<DataError>(bytes ? holds<std::uint8_t>(x) : holds<float>(x), "x: expected ",
                     bytes ? "uint8" : "float32", " as in ", like.name, ", got ", dtype_of(x));
  data::Dataset samples{.name = "x", .sample = like.sample, .classes = like.classes};
  samples.normalisation = like.normalisation;
  if (bytes)
    samples.features = values_of<std::uint8_t>(x);
  else
    samples.features = values_of<float>(x);
  return samples;
}

data::Targets targets_of(const py::array& y, const data::Dataset& like) {
  const loru::Shape shape = shape_of(y);
  const Index width = shape.rank() == 2 ? shape[1] : 1;
  const auto expect = [&](bool fits, const char* what) {
    require<DataError>(fits, "y: expected ", what, ", got ", dtype_of(y), ' ', shape);
  };
  const auto expect_width = [&] {
    require<DataError>(width == data::width_of(like.targets), "y: expected ", data::width_of(like.targets),
                       " targets a sample, got ", width);
  };
  if (std::holds_alternative<data::Numbers>(like.targets)) {
    expect(holds<float>(y) && (shape.rank() == 1 || shape.rank() == 2), "float32 (N, k)");
    expect_width();
    return data::Numbers{width, values_of<float>(y)};
  }
  Integers integers(y);
  if (std::holds_alternative<data::Flags>(like.targets)) {
    expect(integers.is && shape.rank() == 2, "integers (N, k)");
    expect_width();
    integers.width = static_cast<std::size_t>(width);
    return data::Flags{width, integers.in<std::uint8_t>(0, 2, "0 or 1")};
  }
  expect(integers.is && shape.rank() == 1, "integers (N)");
  return integers.in<std::int32_t>(0, like.classes, loru::concat("a label in [0, ", like.classes, ")"));
}

}  // namespace

py::array array_of(const loru::Tensor<float>& tensor) {
  auto owner = std::make_shared<loru::Tensor<float>>(loru::io::detail::row_major(tensor));
  float* values = owner->data();
  return py::array_t<float>(extents(tensor.shape()), values, keep(std::move(owner)));
}

py::dict arrays_of(const loru::io::Archive& archive) {
  py::dict arrays;
  for (const auto& [name, raw] : archive.tensors()) {
    py::array array;
    if (raw.blocks)
      array = array_of(archive.get<float>(name));
    else
      array = py::array(numpy_dtype(raw.dtype), extents(raw.shape), raw.bytes.data(),
                        keep(std::make_shared<loru::io::RawTensor>(raw)));
    array.attr("setflags")(py::arg("write") = false);
    arrays[py::str(name)] = array;
  }
  return arrays;
}

loru::io::Archive archive_of(const py::dict& arrays, const std::string& origin) {
  loru::io::Archive archive(origin);
  for (const auto& [key, value] : arrays) {
    const auto name = py::cast<std::string>(py::str(key));
    require<DataError>(py::isinstance<py::array>(value), origin, ": tensor ", name,
                       ": expected an array, got ",
                       py::cast<std::string>(py::str(py::type::of(value).attr("__name__"))));
    auto array = py::reinterpret_borrow<py::array>(value);
    const auto dtype = stored_dtype(array, origin, name);
    array = py::array::ensure(array, py::array::c_style);
    const auto* bytes = static_cast<const std::byte*>(array.data());
    archive.put_raw(name,
                    {dtype, shape_of(array), {bytes, static_cast<std::size_t>(array.nbytes())}, hold(array)});
  }
  return archive;
}

void save_arrays(const std::string& path, const py::dict& arrays) {
  loru::io::save(path, archive_of(arrays, path));
}

loru::Shape shape_of(const py::array& array) {
  loru::Shape shape;
  for (py::ssize_t i = 0; i < array.ndim(); ++i) shape.push_back(array.shape(i));
  return shape;
}

std::string dtype_of(const py::array& array) { return py::cast<std::string>(py::str(array.dtype())); }

data::Dataset samples_of(const py::array& x, const data::Dataset& like) {
  data::Dataset samples = features_of(x, like);
  samples.targets = data::Labels(static_cast<std::size_t>(x.shape(0)));  // of a class that there is
  samples.classes = std::max<Index>(samples.classes, 1);
  samples.check();
  return samples;
}

data::Dataset samples_of(const py::array& x, const py::array& y, const data::Dataset& like) {
  data::Dataset samples = features_of(x, like);
  require<DataError>(y.ndim() > 0 && y.shape(0) == x.shape(0), "y: expected ", x.shape(0),
                     " targets, one a sample, got ", y.ndim() > 0 ? y.shape(0) : 0);
  samples.targets = targets_of(y, like);
  samples.check();
  return samples;
}

}  // namespace loru_python
