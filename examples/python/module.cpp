// The extension loru._loru: the functions that federate is made of, for Python. The package's Python part
// (loru/__init__.py) turns configurations into TOML and results into dicts.

#include <loru/core/error.hpp>
#include <loru/version.hpp>

#include <loru/fl/simulation/sampler.hpp>

#include "bundled.hpp"
#include "ends.hpp"
#include "names.hpp"
#include "report/report.hpp"
#include "run.hpp"

namespace loru_python {

namespace {

/// pybind11 before 2.12 reads numpy 2's arrays wrong, and says nothing of it.
void check_numpy() {
#if PYBIND11_VERSION_HEX < 0x020C0000
  const auto version = py::cast<std::string>(py::module_::import("numpy").attr("__version__"));
  if (!version.starts_with("1."))
    throw py::import_error("loru: built with a pybind11 before 2.12: expected numpy 1, got " + version);
#endif
}

void add_errors(py::module_& m) {
  const auto base = py::register_exception<loru::Error>(m, "Error", PyExc_RuntimeError);
  py::register_exception<loru::ShapeError>(m, "ShapeError", base);
  py::register_exception<loru::GraphError>(m, "GraphError", base);
  py::register_exception<loru::ConfigError>(m, "ConfigError", base);
  py::register_exception<loru::DataError>(m, "DataError", base);
  py::register_exception<loru::IoError>(m, "IoError", base);
  py::register_exception<loru::DivergedError>(m, "DivergedError", base);
}

void add_model(py::module_& m) {
  py::class_<Model, std::shared_ptr<Model>>(m, "Model")
      .def(py::init<const std::optional<std::string>&, const std::string&, const std::vector<Index>&, Index,
                    bool>(),
           py::arg("text"), py::arg("file"), py::arg("sample"), py::arg("outputs"), py::arg("bytes"))
      .def("predict", &Model::predict, py::arg("x"), py::arg("threads"))
      .def("evaluate", &Model::evaluate, py::arg("x"), py::arg("y"), py::arg("threads"))
      .def("arrays", &Model::arrays, py::arg("merged"))
      .def("set_arrays", &Model::set_arrays, py::arg("arrays"))
      .def("save", &Model::save, py::arg("path"), py::arg("merged"))
      .def("load", &Model::load, py::arg("path"))
      .def("save_adapter", &Model::save_adapter, py::arg("folder"))
      .def("load_adapter", &Model::load_adapter, py::arg("folder"))
      .def("copy", [](Model& model) { return std::make_shared<Model>(model.setup(), model.copy()); })
      .def_property_readonly("sha256", &Model::sha256)
      .def_property_readonly("seed", [](const Model& model) { return model.configuration().seed; })
      .def_property_readonly("name", [](const Model& model) { return model.configuration().model; })
      .def_property_readonly("algorithm", [](const Model& model) { return model.configuration().algorithm; })
      .def_property_readonly("configuration",
                             [](const Model& model) { return federate::to_toml(model.configuration()); })
      .def_property_readonly("sample", [](const Model& model) {
        const loru::Shape& sample = model.like().sample;
        return py::tuple(py::cast(std::vector<Index>(sample.begin(), sample.end())));
      });
}

void add_ends(py::module_& m) {
  py::class_<Server>(m, "Server")
      .def(py::init<Model&, Index, const std::optional<std::vector<Index>>&, std::optional<Index>>(),
           py::arg("model"), py::arg("clients"), py::arg("ranks"), py::arg("max_samples"))
      .def("begin_round", &Server::begin_round)
      .def("broadcast", &Server::broadcast, py::arg("client"))
      .def("receive", &Server::receive, py::arg("update"), py::arg("client") = py::none())
      .def("finish_round", &Server::finish_round)
      .def("drop_updates", &Server::drop_updates)
      .def("lost", &Server::lost, py::arg("client"))
      .def("arrived", &Server::arrived, py::arg("client"))
      .def("save", &Server::save)
      .def("restore", &Server::restore, py::arg("state"))
      .def_property_readonly("round", &Server::round)
      .def_property_readonly("merges", &Server::merges)
      .def_property_readonly("model", &Server::model);
  py::class_<Client>(m, "Client")
      .def(py::init<Model&>(), py::arg("model"))
      .def("answer", &Client::answer, py::arg("broadcast"), py::arg("x"), py::arg("y"))
      .def_property("state", &Client::state, &Client::set_state)
      .def_property_readonly("model", &Client::model);
  m.def(
      "sample_cohort",
      [](std::uint64_t seed, Index round, Index clients, Index cohort) {
        return loru::fl::sample_cohort(seed, round, clients, cohort);
      },
      py::arg("seed"), py::arg("round"), py::arg("clients"), py::arg("cohort"));
}

void add_names(py::module_& m) {
  m.def("keys", &keys);
  m.def("partition", &partition, py::arg("toml"), py::arg("labels"), py::arg("groups"));
  m.def("save_arrays", &save_arrays, py::arg("path"), py::arg("arrays"));
  m.def("algorithm_names", [] { return loru::fl::algorithm_names(); });
  m.def("model_names", [] { return federate::model_names(); });
}

void add_run(py::module_& m) {
  py::class_<RunRequest>(m, "RunRequest")
      .def(py::init([](std::optional<std::string> text, std::optional<std::string> file,
                       const std::string& out, std::optional<Index> threads,
                       std::optional<std::string> data_dir, const std::vector<std::string>& set,
                       py::object on_round) {
             federate::Overrides overrides;
             overrides.set = set;
             overrides.data_dir = std::move(data_dir);
             return RunRequest{std::move(text), std::move(file), out,
                               threads,         overrides,       std::move(on_round)};
           }),
           py::arg("text"), py::arg("file"), py::arg("out"), py::arg("threads"), py::arg("data_dir"),
           py::arg("set"), py::arg("on_round"));
  py::class_<RunResult>(m, "RunResult")
      .def_property_readonly("code", [](const RunResult& r) { return static_cast<int>(r.ending.code); })
      .def_property_readonly("problem", [](const RunResult& r) { return r.ending.problem; })
      .def_property_readonly("summary", [](const RunResult& r) { return r.ending.summary; })
      .def_readonly("rows", &RunResult::rows)
      .def_readonly("exception", &RunResult::exception)
      .def_readonly("model", &RunResult::model)
      .def_readonly("configuration", &RunResult::configuration);
  m.def("run", &run, py::arg("request"));
  m.def("compare", &compare, py::arg("files"), py::arg("seeds"), py::arg("budgets"), py::arg("request"));
  m.def(
      "report",
      [](const std::vector<std::string>& folders, const std::string& out) {
        const py::gil_scoped_release release;
        return federate::report::write({folders, out}).string();
      },
      py::arg("folders"), py::arg("out"));
  m.def("check", [](const std::string& text, const std::vector<std::string>& set) {
    federate::Overrides overrides;
    overrides.set = set;
    federate::require_data(federate::read_configuration_text(text, overrides), federate::config_text_origin);
  });
  m.def("add_data_folder",
        [](const std::string& folder) { federate::bundled_folders().emplace_back(folder); });
}

}  // namespace

}  // namespace loru_python

PYBIND11_MODULE(_loru, m) {
  m.attr("__version__") = loru::version;
  loru_python::check_numpy();
  loru_python::add_errors(m);
  loru_python::add_model(m);
  loru_python::add_run(m);
  loru_python::add_ends(m);
  loru_python::add_names(m);
}
