"""bench/round's logistic regression in Flower's simulation: FedAvg, 1000 clients, 10 a round. One line of JSON.

A client's few steps are NumPy, which costs less than PyTorch at this size, so that what is timed is the framework. Each
worker of the simulation loads the data once. The clock starts with the first round: starting Ray is left out."""
import argparse
import logging
import os
import statistics
import time

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import flwr  # noqa: E402
import numpy as np  # noqa: E402
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict  # noqa: E402
from flwr.clientapp import ClientApp  # noqa: E402
from flwr.serverapp import ServerApp  # noqa: E402
from flwr.serverapp.strategy import FedAvg  # noqa: E402
from flwr.simulation import run_simulation  # noqa: E402

from common import partition, read_split, report, wants_evaluation  # noqa: E402

CLASSES, BATCH, LEARNING_RATE = 10, 10, 0.03
held = {}  # of this process: the data, once read


def data(folder, clients):
    """Flattened training samples, labels and the clients' shares, read once a process."""
    if not held:
        x, y = read_split(folder)["train"]
        held.update(x=x.reshape(len(x), -1), y=y, parts=partition(len(y), clients))
    return held["x"], held["y"], held["parts"]


def softmax(logits):
    """Row by row."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def train(w, b, x, y, order):
    """One epoch of SGD on the mean cross-entropy, in place: w (classes, features), b (classes). Returns the mean loss."""
    total = 0.0
    for first in range(0, len(order), BATCH):
        chosen = order[first:first + BATCH]
        inputs, labels = x[chosen], y[chosen]
        p = softmax(inputs @ w.T + b)
        rows = np.arange(len(chosen))
        total -= float(np.log(p[rows, labels]).sum())
        p[rows, labels] -= 1.0
        p *= LEARNING_RATE / len(chosen)
        w -= p.T @ inputs
        b -= p.sum(axis=0)
    return total / len(order)


def client_app(folder, clients):
    app = ClientApp()

    @app.train()
    def train_client(message, context):
        x, y, parts = data(folder, clients)
        w, b = (a.copy() for a in message.content["arrays"].to_numpy_ndarrays())
        samples = parts[int(context.node_config["partition-id"])]
        loss = train(w, b, x, y, np.random.default_rng().permutation(samples))
        content = RecordDict({"arrays": ArrayRecord([w, b]),
                              "metrics": MetricRecord({"train_loss": loss, "num-examples": len(samples)})})
        return Message(content=content, reply_to=message)

    return app


def server_app(o, split, times):
    x, y = split["test"]
    x = x.reshape(len(x), -1)
    app = ServerApp()

    def evaluate(round_number, arrays):
        """Called before the first round and after each: also the clock."""
        if round_number > 0 and wants_evaluation(round_number, o.rounds, o.eval_every):
            w, b = arrays.to_numpy_ndarrays()
            times["accuracy"] = float(((x @ w.T + b).argmax(axis=1) == y).mean())
        times["at"].append(time.perf_counter())

    @app.main()
    def main(grid, context):
        strategy = FedAvg(fraction_train=o.cohort / o.clients, fraction_evaluate=0.0, min_train_nodes=o.cohort,
                          min_evaluate_nodes=0, min_available_nodes=o.clients)
        initial = [np.zeros((CLASSES, x.shape[1]), np.float32), np.zeros(CLASSES, np.float32)]
        strategy.start(grid=grid, initial_arrays=ArrayRecord(initial), num_rounds=o.rounds, evaluate_fn=evaluate)

    return app


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder that `round --export` wrote")
    parser.add_argument("--threads", type=int, default=2, help="clients at a time, one core each")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--cohort", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--eval-every", type=int, default=10)
    o = parser.parse_args()
    o.data = os.path.abspath(o.data)
    logging.getLogger("flwr").setLevel(logging.ERROR)
    logging.getLogger("ray").setLevel(logging.ERROR)
    begin, times = time.perf_counter(), {"at": [], "accuracy": 0.0}
    run_simulation(server_app(o, read_split(o.data), times), client_app(o.data, o.clients), num_supernodes=o.clients,
                   backend_config={"init_args": {"num_cpus": o.threads, "include_dashboard": False,
                                                 "log_to_driver": False},
                                   "client_resources": {"num_cpus": 1, "num_gpus": 0.0}})
    seconds = np.diff(times["at"]).tolist()
    report(case="logistic", flwr=flwr.__version__, threads=o.threads, rounds=len(seconds),
           seconds_per_round=statistics.median(seconds), total_seconds=sum(seconds),
           startup_seconds=times["at"][0] - begin, final_test_accuracy=times["accuracy"])


if __name__ == "__main__":
    main()
