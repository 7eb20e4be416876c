#pragma once
// Room fl: federations, simulated or built from messages.

#include <loru/fl/aggregate.hpp>
#include <loru/fl/algorithm/algorithm.hpp>
#include <loru/fl/algorithm/algorithms.hpp>
#include <loru/fl/algorithm/fedavg.hpp>
#include <loru/fl/algorithm/fedex_lora.hpp>
#include <loru/fl/algorithm/fedlora.hpp>
#include <loru/fl/algorithm/fedloru.hpp>
#include <loru/fl/algorithm/fedprox.hpp>
#include <loru/fl/algorithm/ffa_lora.hpp>
#include <loru/fl/algorithm/flexlora.hpp>
#include <loru/fl/algorithm/flora.hpp>
#include <loru/fl/algorithm/rolora.hpp>
#include <loru/fl/client.hpp>
#include <loru/fl/client_ranks.hpp>
#include <loru/fl/client_store.hpp>
#include <loru/fl/device_data.hpp>
#include <loru/fl/evaluate.hpp>
#include <loru/fl/executor.hpp>
#include <loru/fl/history.hpp>
#include <loru/fl/message.hpp>
#include <loru/fl/model_file.hpp>
#include <loru/fl/sampler.hpp>
#include <loru/fl/server.hpp>
#include <loru/fl/simulation.hpp>
#include <loru/fl/terms.hpp>
