"""All parameters as one flat array: one optimiser kernel, one all-reduce, one average of weights."""

import torch
from torch import distributed


class FlatWeights:
    """Master weights in float32, working weights in `dtype`, which the network's parameters view.

    `average` is an exponential mean of the master weights. Parameters whose names begin as one of
    settings["faster"] must be the last ones; they learn settings["faster_rate"] times as fast."""

    def __init__(self, network, dtype, settings):
        named = list(network.named_parameters())
        self.parameters = [parameter for _, parameter in named]
        self.settings = settings
        self.master = torch.cat([p.detach().float().reshape(-1) for p in self.parameters])
        self.working = self.master.to(dtype)
        self.gradients = torch.zeros_like(self.working)
        at = 0
        for parameter in self.parameters:
            end = at + parameter.numel()
            parameter.data = self.working[at:end].view(parameter.shape)
            parameter.grad = self.gradients[at:end].view(parameter.shape)
            at = end
        self.average = self.master.clone()
        self.parts = [part.requires_grad_(True) for part in self.master.split(self.part_sizes(named))]
        self.rates = (1.0, settings.get("faster_rate", 1.0))
        self.optimiser = torch.optim.AdamW([{"params": [part]} for part in self.parts], lr=0.0,
                                           betas=tuple(settings["betas"]), weight_decay=settings["weight_decay"],
                                           fused=self.master.is_cuda)
        self.steps = 0

    def part_sizes(self, named):
        """Numbers of weights that learn at the rate itself and, if there are any, of the faster ones."""
        begins = tuple(self.settings.get("faster", ()))
        faster = [name.startswith(begins) for name, _ in named] if begins else []
        if faster != sorted(faster):
            raise ValueError(f"train.faster: the parameters that begin with {begins} are not the network's last ones")
        last = sum(parameter.numel() for (_, parameter), one in zip(named, faster) if one)
        return [len(self.master) - last, last] if last else [len(self.master)]

    def step(self, rate):
        """Averages gradients over all processes, clips, steps, and clears them."""
        if distributed.is_initialized():
            distributed.all_reduce(self.gradients)
            self.gradients /= distributed.get_world_size()
        gradient = self.gradients.float()
        norm = gradient.norm()
        factor = (self.settings["clip"] / (norm + 1e-6)).clamp(max=1.0)
        # A step whose gradient is not finite is left out on every process alike.
        gradient = torch.nan_to_num(gradient * factor, nan=0.0, posinf=0.0, neginf=0.0)
        for part, piece in zip(self.parts, gradient.split([len(part) for part in self.parts])):
            part.grad = piece
        for group, times in zip(self.optimiser.param_groups, self.rates):
            group["lr"] = rate * times
        self.optimiser.step()
        self.steps += 1
        with torch.no_grad():
            self.working.copy_(self.master)
            self.gradients.zero_()
            decay = min(self.settings["average_decay"], self.steps / (self.steps + 10))
            self.average.lerp_(self.master, 1 - decay)
        return norm

    @torch.no_grad()
    def use(self, flat):
        """Puts other weights (float32, flat) to work, e.g. the average for an evaluation."""
        self.working.copy_(flat)

    @torch.no_grad()
    def restore(self):
        self.working.copy_(self.master)

    @torch.no_grad()
    def load(self, flat):
        """Starts from given weights."""
        self.master.copy_(flat)
        self.average.copy_(flat)
        self.working.copy_(flat)

    def named(self, network, flat):
        """(name, tensor) of every parameter, as views of other weights in one flat array."""
        names = {id(parameter): name for name, parameter in network.named_parameters()}
        sizes = [parameter.numel() for parameter in self.parameters]
        return [(names[id(parameter)], piece.view(parameter.shape))
                for parameter, piece in zip(self.parameters, flat.split(sizes))]
