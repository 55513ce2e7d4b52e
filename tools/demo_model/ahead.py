"""The next batches, on the device before they are wanted: a thread takes them from the loader and
copies them on a stream of its own, so that neither waits for the other."""

import queue
import threading

import torch


class Ahead:
    """next() gives (batch in host memory, the same on the device); number: batches kept ready."""

    def __init__(self, batches, device, number=4):
        self.batches, self.device, self.ready = batches, device, queue.Queue(number)
        self.stream = torch.cuda.Stream(device)
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        try:
            with torch.cuda.device(self.device), torch.cuda.stream(self.stream):
                for host in self.batches:
                    copied = {name: tensor.to(self.device) for name, tensor in host.items()}
                    self.ready.put((host, copied, self.stream.record_event()))
        except BaseException as error:      # whoever waits for a batch has to hear of it
            self.ready.put((None, error, None))

    def __next__(self):
        host, copied, event = self.ready.get()
        if host is None:
            raise RuntimeError("the loader of batches failed") from copied
        stream = torch.cuda.current_stream()
        stream.wait_event(event)
        for tensor in copied.values():
            tensor.record_stream(stream)
        return host, copied


class InTime:
    """The same without a thread, for a CPU."""

    def __init__(self, batches):
        self.batches = iter(batches)

    def __next__(self):
        host = next(self.batches)
        return host, host
