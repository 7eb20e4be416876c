#include "tensorboard.hpp"

#include <cmath>

#include <loru/core/text.hpp>

namespace federate {

using loru::concat;

bool is_event_file(const std::filesystem::path& file) {
  return file.filename().string().starts_with("events.out.tfevents.");
}

RoundEvents round_events(const loru::fl::Round& round, const std::vector<loru::train::Metric>& metrics,
                         Index uplink_bytes) {
  RoundEvents events{.round = round.index,
                     .uplink_bytes = uplink_bytes,
                     .measured = {{"train/loss", round.train_loss},
                                  {"test/accuracy", round.test_accuracy},
                                  {"test/loss", round.test_loss}},
                     .spent = {{"round/uplink_MB", 1e-6 * static_cast<double>(round.uplink_bytes)},
                               {"round/downlink_MB", 1e-6 * static_cast<double>(round.downlink_bytes)},
                               {"round/seconds", round.seconds},
                               {"round/clients_dropped", static_cast<double>(round.dropped)},
                               {"round/clients_rejected", static_cast<double>(round.rejected)}}};
  for (std::size_t i = 0; i < round.test_metrics.size(); ++i)
    events.measured[concat("test/", metrics[i].name)] = round.test_metrics[i];
  for (std::size_t i = 0; i < round.validation_metrics.size(); ++i)
    events.measured[concat("validation/", metrics[i].name)] = round.validation_metrics[i];
  std::erase_if(events.measured, [](const auto& scalar) { return std::isnan(scalar.second); });
  return events;
}

}  // namespace federate
