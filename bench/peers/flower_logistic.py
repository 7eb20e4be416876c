"""bench/round's logistic regression in Flower's simulation: FedAvg, 1000 clients, 10 a round. One line of JSON.

Flower has two simulation engines: `apps` (ServerApp and ClientApp, run_simulation), and the older `clients`
(NumPyClient, start_simulation), which it calls deprecated and which is the faster one with many registered clients.

A client's few steps are NumPy, which costs less than PyTorch at this size, so that what is timed is the framework. A
first round, in which the workers start and read the data, is not counted."""
import argparse
import logging
import os
import statistics
import time

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import flwr  # noqa: E402
import numpy as np  # noqa: E402
from flwr import serverapp  # noqa: E402
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict  # noqa: E402
from flwr.client import NumPyClient  # noqa: E402
from flwr.clientapp import ClientApp  # noqa: E402
from flwr.common import ndarrays_to_parameters  # noqa: E402
from flwr.server import ServerConfig  # noqa: E402
from flwr.server.strategy import FedAvg  # noqa: E402
from flwr.simulation import run_simulation, start_simulation  # noqa: E402

from common import read_split, report, wants_evaluation  # noqa: E402
from flower_client import CLASSES, turn  # noqa: E402

class Clock:
    """When each round ended, and the accuracy where the schedule asks for it."""

    def __init__(self, o, split):
        x, y = split["test"]
        self.o, self.x, self.y, self.at, self.accuracy = o, x.reshape(len(x), -1), y, [], 0.0
        self.initial = [np.zeros((CLASSES, self.x.shape[1]), np.float32), np.zeros(CLASSES, np.float32)]

    def round_ended(self, round_number, arrays):
        """Flower calls this as the central evaluation: before the first round and after each."""
        if wants_evaluation(round_number - 1, self.o.rounds, self.o.eval_every):
            w, b = arrays
            self.accuracy = float(((self.x @ w.T + b).argmax(axis=1) == self.y).mean())
        self.at.append(time.perf_counter())


def simulate_apps(o, clock):
    client_app, server_app = ClientApp(), serverapp.ServerApp()
    folder, clients = o.data, o.clients  # what the workers are sent

    @client_app.train()
    def train_client(message, context):
        w, b = (a.copy() for a in message.content["arrays"].to_numpy_ndarrays())
        count, loss = turn(folder, clients, int(context.node_config["partition-id"]), w, b)
        content = RecordDict({"arrays": ArrayRecord([w, b]),
                              "metrics": MetricRecord({"train_loss": loss, "num-examples": count})})
        return Message(content=content, reply_to=message)

    @server_app.main()
    def main(grid, context):
        strategy = serverapp.strategy.FedAvg(
            fraction_train=o.cohort / o.clients, fraction_evaluate=0.0, min_train_nodes=o.cohort,
            min_evaluate_nodes=0, min_available_nodes=o.clients)
        strategy.start(grid=grid, initial_arrays=ArrayRecord(clock.initial), num_rounds=o.rounds + 1,
                       evaluate_fn=lambda r, arrays: clock.round_ended(r, arrays.to_numpy_ndarrays()))

    run_simulation(server_app, client_app, num_supernodes=o.clients,
                   backend_config={"init_args": ray_arguments(o), "client_resources": RESOURCES})


def simulate_clients(o, clock):
    folder, clients = o.data, o.clients  # what the workers are sent

    class Client(NumPyClient):
        def __init__(self, number):
            self.number = number

        def fit(self, parameters, config):
            w, b = (a.copy() for a in parameters)
            count, loss = turn(folder, clients, self.number, w, b)
            return [w, b], count, {"train_loss": loss}

    strategy = FedAvg(fraction_fit=o.cohort / o.clients, fraction_evaluate=0.0, min_fit_clients=o.cohort,
                      min_available_clients=o.clients, initial_parameters=ndarrays_to_parameters(clock.initial),
                      evaluate_fn=lambda r, arrays, config: clock.round_ended(r, arrays))
    start_simulation(client_fn=lambda context: Client(int(context.node_config["partition-id"])).to_client(),
                     num_clients=o.clients, client_resources=RESOURCES, ray_init_args=ray_arguments(o),
                     config=ServerConfig(num_rounds=o.rounds + 1), strategy=strategy)


ENGINES = {"apps": simulate_apps, "clients": simulate_clients}
RESOURCES = {"num_cpus": 1, "num_gpus": 0.0}


def ray_arguments(o):
    return {"num_cpus": o.threads, "include_dashboard": False, "log_to_driver": False}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder that `round --export` wrote")
    parser.add_argument("--engine", choices=ENGINES, default="clients")
    parser.add_argument("--threads", type=int, default=2, help="clients at a time, one core each")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--cohort", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--eval-every", type=int, default=10)
    o = parser.parse_args()
    o.data = os.path.abspath(o.data)
    logging.getLogger("flwr").setLevel(logging.ERROR)
    logging.getLogger("ray").setLevel(logging.ERROR)
    clock, begin = Clock(o, read_split(o.data)), time.perf_counter()
    ENGINES[o.engine](o, clock)
    seconds = np.diff(clock.at[1:]).tolist()
    report(case="logistic", flwr=flwr.__version__, engine=o.engine, threads=o.threads, rounds=len(seconds),
           seconds_per_round=statistics.median(seconds), total_seconds=sum(seconds),
           startup_seconds=clock.at[1] - begin, final_test_accuracy=clock.accuracy)


if __name__ == "__main__":
    main()
