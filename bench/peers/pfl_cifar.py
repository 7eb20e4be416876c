"""bench/round's cifar case in pfl-research's simulation with its PyTorch backend: FedAvg, 1000 users of 50 samples, 50
a round. One line of JSON.

The network is the one of pfl-research's published CIFAR-10 benchmark (simple_cnn in benchmarks/model/pytorch/cnn.py,
configs/baseline.yaml), written afresh. Started by torchrun, each process trains its share of the users. A first round,
in which pfl-research also measures every user's accuracy, is not counted."""
import argparse
import functools
import importlib.metadata
import logging
import os
import statistics
import time
import types

import numpy as np
import torch
from pfl.aggregate.simulate import SimulatedBackend
from pfl.aggregate.weighting import WeightByDatapoints
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data import FederatedDataset
from pfl.data.dataset import Dataset
from pfl.data.sampling import get_user_sampler
from pfl.hyperparam import NNEvalHyperParams, NNTrainHyperParams
from pfl.internal.ops import all_reduce_metrics
from pfl.metrics import Metrics, StringMetricName, Weighted
from pfl.model.pytorch import PyTorchModel
from torch import nn
from torch.nn import functional as F

from common import partition, read_split, report, wants_evaluation

USERS, BATCH, LEARNING_RATE, TEST_BATCH = 1000, 10, 0.1, 500
ACCURACY = StringMetricName("test accuracy")
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def simple_cnn(memory_format):
    """Two 3x3 convolutions (32, 64) without padding, max-pool 2, a hidden layer of 128; dropout 1/4 and 1/2."""
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(64 * 14 * 14, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10))
    for layer in model:
        if hasattr(layer, "weight"):
            nn.init.xavier_uniform_(layer.weight)

    def loss(self, x, y, eval=False):
        self.train(not eval)
        return F.cross_entropy(self(x), y)

    @torch.no_grad()
    def metrics(self, x, y, eval=True):
        self.train(not eval)
        return {"accuracy": Weighted((self(x).argmax(1) == y).sum().item(), len(x))}

    model.loss, model.metrics = types.MethodType(loss, model), types.MethodType(metrics, model)
    return model.to(memory_format=memory_format)


class Clock(TrainingProcessCallback):
    """When each round ended, and the accuracy where the schedule asks for it: each process tests its share."""

    def __init__(self, o, test):
        self.o, self.share, self.at, self.accuracy = o, test.get_worker_partition(), [], 0.0

    def on_train_begin(self, *, model):
        return Metrics()

    def after_central_iteration(self, aggregate_metrics, model, *, central_iteration):
        if wants_evaluation(central_iteration, self.o.rounds, self.o.eval_every):
            found = model.evaluate(self.share, lambda name: StringMetricName(f"test {name}"),
                                   NNEvalHyperParams(local_batch_size=TEST_BATCH))
            self.accuracy = all_reduce_metrics(found)[ACCURACY].overall_value
        self.at.append(time.perf_counter())
        return False, Metrics()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder that `round --export` wrote")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--format", choices=FORMATS, default="contiguous")
    parser.add_argument("--cohort", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--eval-every", type=int, default=10, help="0: never")
    o = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    np.random.seed(1)
    memory_format = FORMATS[o.format]
    split = {half: (torch.from_numpy(x).contiguous(memory_format=memory_format), torch.from_numpy(y))
             for half, (x, y) in read_split(o.data).items()}
    images, labels = split["train"]
    users = {user: (images[share], labels[share])
             for user, share in enumerate(torch.from_numpy(partition(len(labels), USERS)))}
    clock = Clock(o, Dataset(raw_data=split["test"]))
    network = simple_cnn(memory_format)
    model = PyTorchModel(network, functools.partial(torch.optim.SGD, fused=True),
                         torch.optim.SGD(network.parameters(), lr=1.0))
    backend = SimulatedBackend(
        training_data=FederatedDataset.from_slices(users, get_user_sampler("minimize_reuse", list(users))),
        val_data=None, postprocessors=[WeightByDatapoints()])
    FederatedAveraging().run(
        algorithm_params=NNAlgorithmParams(central_num_iterations=o.rounds + 1, evaluation_frequency=o.rounds + 1,
                                           train_cohort_size=o.cohort, val_cohort_size=0),
        backend=backend, model=model,
        model_train_params=NNTrainHyperParams(local_learning_rate=LEARNING_RATE, local_num_epochs=1,
                                              local_batch_size=BATCH),
        model_eval_params=NNEvalHyperParams(local_batch_size=TEST_BATCH), callbacks=[clock])
    if int(os.environ.get("RANK", 0)) == 0:
        seconds = np.diff(clock.at).tolist()
        report(case="cifar", pfl=importlib.metadata.version("pfl"), torch=torch.__version__, threads=o.threads,
               processes=int(os.environ.get("WORLD_SIZE", 1)), format=o.format, rounds=len(seconds),
               seconds_per_round=statistics.median(seconds), total_seconds=sum(seconds),
               final_test_accuracy=clock.accuracy)


if __name__ == "__main__":
    main()
