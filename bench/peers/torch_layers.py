"""Factored layers as people write them in PyTorch: the frozen layer and its two factors side by side, and models made
of them. Works with PyTorch 1.13 and newer."""
import torch
from torch import nn
from torch.nn import functional as F


class LowRankConv2d(nn.Module):
    """conv(x, W) + s * B(A(x)): W frozen, A a k x k convolution into r channels, B a 1x1 convolution."""

    def __init__(self, conv, rank, scale=1.0):
        super().__init__()
        self.base, self.scale = conv, scale
        conv.weight.requires_grad_(False)
        self.down = nn.Conv2d(conv.in_channels, rank, conv.kernel_size, conv.stride, conv.padding, bias=False)
        self.up = nn.Conv2d(rank, conv.out_channels, 1, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x):
        low = self.up(self.down(x))
        return self.base(x) + (low if self.scale == 1.0 else self.scale * low)

    @torch.no_grad()
    def merge(self):
        """W + s * B * A into W; the factors start anew."""
        r = self.down.weight.shape[0]
        product = self.up.weight.reshape(-1, r) @ self.down.weight.reshape(r, -1)
        self.base.weight += self.scale * product.reshape(self.base.weight.shape)
        self.down.reset_parameters()
        nn.init.zeros_(self.up.weight)


class LowRankLinear(nn.Module):
    """x W^T + s * (x A^T) B^T with W frozen."""

    def __init__(self, linear, rank, scale=1.0):
        super().__init__()
        self.base, self.scale = linear, scale
        linear.weight.requires_grad_(False)
        self.down = nn.Linear(linear.in_features, rank, bias=False)
        self.up = nn.Linear(rank, linear.out_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x):
        low = self.up(self.down(x))
        return self.base(x) + (low if self.scale == 1.0 else self.scale * low)

    @torch.no_grad()
    def merge(self):
        """W + s * B * A into W; the factors start anew."""
        self.base.weight += self.scale * (self.up.weight @ self.down.weight)
        self.down.reset_parameters()
        nn.init.zeros_(self.up.weight)


class Block(nn.Module):
    """Basic residual block of He et al. `conv` makes its convolutions."""

    def __init__(self, conv, channels_in, channels, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(channels_in, channels, 3, stride), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = conv(channels, channels, 3, 1), nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(conv(channels_in, channels, 1, stride), nn.BatchNorm2d(channels))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x), inplace=True)


def resnet(blocks, channels, classes, rank=0):
    """ResNet for small images: 3x3 stem without pooling, stages of 64 to 512 channels. With a rank, every convolution
    of the stages is factored, the shortcuts' too; stem and classifier stay dense. s = 1."""

    def plain(c_in, c_out, kernel, stride):
        return nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False)

    def staged(c_in, c_out, kernel, stride):
        conv = plain(c_in, c_out, kernel, stride)
        return LowRankConv2d(conv, rank) if rank else conv

    layers = [plain(channels, 64, 3, 1), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
    before = 64
    for stage, count in enumerate(blocks):
        for i in range(count):
            layers.append(Block(staged, before, 64 << stage, 2 if stage > 0 and i == 0 else 1))
            before = 64 << stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))


def cnn(channels, side, classes, rank=0):
    """The FedAvg paper's network; with a rank, conv2 and fc1 are factored, as the quickstart has it. s = 1."""
    conv2, fc1 = nn.Conv2d(32, 64, 5, padding=2), nn.Linear(64 * (side // 4) ** 2, 512)
    return nn.Sequential(
        nn.Conv2d(channels, 32, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        LowRankConv2d(conv2, rank) if rank else conv2, nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(),
        LowRankLinear(fc1, rank) if rank else fc1, nn.ReLU(inplace=True), nn.Linear(512, classes))


def sgd(parameters, learning_rate, momentum=0.0, weight_decay=0.0):
    """SGD in the fastest form that this version has on a CPU."""
    options = dict(lr=learning_rate, momentum=momentum, weight_decay=weight_decay)
    parameters = list(parameters)
    try:
        return torch.optim.SGD(parameters, fused=True, **options)
    except (TypeError, RuntimeError):  # an older version
        return torch.optim.SGD(parameters, foreach=True, **options)
