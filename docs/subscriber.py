# protoc --python_out=. -I schemas captiond/v1/event.proto
import sys

import zmq
from captiond.v1.event_pb2 import Event

socket = zmq.Context.instance().socket(zmq.SUB)
socket.connect(sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5580")
socket.subscribe("")  # or "lobby/transcript/"
while True:
    topic, payload = socket.recv_multipart()
    event = Event.FromString(payload)
    if event.transcript.final:
        print(event.stream, event.transcript.start.ToTimedelta(), event.transcript.text, flush=True)
