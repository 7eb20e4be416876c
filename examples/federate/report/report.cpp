#include "report.hpp"

#include "clients.hpp"
#include "curves.hpp"
#include "layers.hpp"
#include "page.hpp"
#include "read.hpp"
#include "spectrum.hpp"
#include "sweep.hpp"
#include "tables.hpp"
#include "text.hpp"

namespace federate::report {

namespace fs = std::filesystem;

namespace {

std::string title(const Input& input) {
  if (input.groups.empty()) return "Spectrum: " + input.spectra[0].name;
  if (input.groups.size() == 1) return input.groups[0].name;
  return (input.sweeps.empty() ? "Comparison of " : "Sweep of ") +
         counted(input.groups.size(), "configuration");
}

}  // namespace

fs::path write(const Options& options) {
  const Input input = read(options.folders);
  const fs::path out =
      options.out.empty() ? fs::path(options.folders[0]) / "report.html" : fs::path(options.out);
  Page page(title(input), fs::absolute(out).parent_path());
  if (!input.groups.empty()) {
    add_results(page, input.groups);
    if (!input.sweeps.empty()) add_sweep(page, input.groups, input.sweeps);
    add_curves(page, input.groups);
    add_rounds(page, input.groups);
    add_layers(page, input.groups);
    add_clients(page, input.groups);
  }
  for (const Spectrum& spectrum : input.spectra) add_spectrum(page, spectrum);
  if (!input.groups.empty()) add_configuration(page, input.groups);
  loru::io::write_file(out, page.html());
  return out;
}

}  // namespace federate::report
