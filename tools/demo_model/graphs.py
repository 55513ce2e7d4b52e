"""Training steps without the host: the kernels of each bucket of batches are recorded once as CUDA
graphs and played again for every batch of that bucket.

A bucket of speech has a graph for each kind of hearing (step.LIGHT, DISTURBED, CHANGED), forward and
backward. CTC, which reads lengths in host memory, runs between the last two. All graphs share one pool of memory:
they are played one after the other, and nothing that one leaves there is read after the next."""

import time

import torch

from . import batches
from .network import Decoder, Layer
from .step import CHANGED, DISTURBED, LIGHT
from .vision_network import picture_mask
from .weights import FlatWeights


COMPILED = (224, 144), (64, 528)      # rows and positions of the batches that the layers are compiled with


def compiled_layer():
    """Layer.forward with its small kernels fused, for every shape."""
    return torch.compile(Layer.forward, dynamic=True)


def compile_layers(config, vocabulary, device):
    """Compiles the layers as training will ask for them; their code stays in the compiler's cache."""
    started = time.time()
    network = Decoder(config["model"], vocabulary, len(batches.LETTERS)).to(device)
    FlatWeights(network, torch.bfloat16, config["train"])
    run_layer = compiled_layer()
    for rows, width in COMPILED:
        for mask in (None, picture_mask(width, 20, 66, device)):
            x = network.embed_tokens(torch.zeros(rows, width, dtype=torch.int64, device=device)) * network.scale
            network(x, mask, run_layer=run_layer, drops=mask is None).float().square().mean().backward()
    torch.cuda.synchronize(device)
    print(f"compile-layers: {time.time() - started:.0f} s")


class Recorder:
    """Records functions on a stream of its own. The same stream must have run each function before."""

    def __init__(self, device):
        self.stream, self.pool = torch.cuda.Stream(device), torch.cuda.graph_pool_handle()

    def warm_up(self, function, times=2):
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            for _ in range(times):
                function()
        torch.cuda.current_stream().wait_stream(self.stream)

    def record(self, function):
        """(graph, what the function returned: tensors that each replay writes anew)."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"):
            out = function()
        return graph, out


class Bucket:
    """Inputs of one shape in memory that stays where it is. inputs: name -> tensor on the device."""

    def __init__(self, inputs):
        self.inputs = {name: tensor.clone() for name, tensor in inputs.items()}

    def fill(self, batch):
        for name, tensor in self.inputs.items():
            tensor.copy_(batch[name], non_blocking=True)


class SpeechBucket(Bucket):
    """Graphs of one bucket of speech."""

    NAMES = ("tokens", "labels", "label_at", "source", "begin", "length", "rate", "soft_at", "has_words")

    def __init__(self, step, recorder, batch, frame_count):
        super().__init__({name: batch[name] for name in self.NAMES})
        self.step = step
        self.listen = {}
        self.frames = torch.zeros(len(batch["tokens"]), frame_count, 640, device=step.device)
        for kind in (LIGHT, DISTURBED, CHANGED) if step.changes_voices else (LIGHT, DISTURBED):
            def listen(kind=kind):
                self.frames.copy_(step.heard(self.inputs, frame_count, kind))
            recorder.warm_up(listen)
            self.listen[kind] = recorder.record(listen)[0]
        letters = step.network.letters.out_features
        self.gradient = torch.zeros(frame_count, len(self.frames), letters, device=step.device)

        def both():
            entropy, letters = step.speech(self.inputs, self.frames)
            torch.autograd.backward((entropy, letters), (None, self.gradient))
        recorder.warm_up(both)
        self.forward, (entropy, letters) = recorder.record(lambda: step.speech(self.inputs, self.frames))
        self.backward, _ = recorder.record(
            lambda: torch.autograd.backward((entropy, letters), (None, self.gradient)))
        self.entropy, self.letters = entropy.detach(), letters.detach()

    def run(self, batch, host, kind, letter_weight):
        """(cross-entropy, letter loss); the gradients are added to those of the parameters."""
        self.fill(batch)
        self.listen[kind].replay()
        self.forward.replay()
        letters = self.letters.detach().requires_grad_(True)
        letter = self.step.letter_loss(letters, batch["letters"], host)
        self.gradient.copy_(torch.autograd.grad(letter, letters)[0]).mul_(letter_weight)
        self.backward.replay()
        return self.entropy.clone(), letter.detach()


class SceneBucket(Bucket):
    """Graphs of one grid of pictures."""

    NAMES = ("tokens", "labels", "label_at", "patches", "things")

    def __init__(self, step, recorder, batch, columns):
        super().__init__({name: batch[name] for name in self.NAMES})
        self.weight = torch.ones((), device=step.device)

        def both():
            entropy, things = step.scenes(self.inputs, columns)
            torch.autograd.backward(entropy + self.weight * things)
            return entropy.detach()
        recorder.warm_up(both)
        self.graph, self.entropy = recorder.record(both)

    def run(self, batch, thing_weight):
        """Cross-entropy; the gradients are added to those of the parameters."""
        self.fill(batch)
        self.weight.fill_(thing_weight)
        self.graph.replay()
        return self.entropy.clone()


class Graphs:
    """step: step.Step; clear: sets the gradients to zero, which a recording spoils."""

    def __init__(self, step, clear):
        self.step, self.clear = step, clear
        self.recorder, self.buckets = Recorder(step.device), {}

    def speech_bucket(self, batch, host):
        """The bucket of the batch's shape, recorded with this batch if it is new."""
        key = (tuple(batch["tokens"].shape), int(host["frame_places"]), tuple(batch["labels"].shape))
        if key not in self.buckets:
            self.buckets[key] = SpeechBucket(self.step, self.recorder, batch, int(host["frame_places"]))
            self.clear()
        return self.buckets[key]

    def speech(self, batch, host, kind, letter_weight):
        return self.speech_bucket(batch, host).run(batch, host, kind, letter_weight)

    def scenes(self, batch, host, thing_weight):
        columns = int(host["columns"])
        key = (tuple(batch["tokens"].shape), tuple(batch["patches"].shape), columns)
        if key not in self.buckets:
            self.buckets[key] = SceneBucket(self.step, self.recorder, batch, columns)
            self.clear()
        return self.buckets[key].run(batch, thing_weight)
