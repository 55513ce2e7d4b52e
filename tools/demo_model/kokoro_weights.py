"""The int8 ONNX export of Kokoro-82M -> two safetensors files for kokoro.py.

Tensor names are those of kokoro 0.9.4's modules with weight norm folded in. NAME|scale is one number
or one per row. The transposed convolutions, float32 in the export, are kept as float16."""

import re

import numpy
import onnx
from onnx import numpy_helper
from safetensors.numpy import save_file

SUFFIX = re.compile(r"/(Gemm_MatMul|MatMul|ConvTranspose|Conv|LSTM)(_quant)?$")
NAMED = re.compile(r"LayerNorm|layer_norm|alpha|\.gamma|\.beta|l_linear\.bias")
LINEAR_SOURCE = ("decoder.generator.m_source.l_linear.weight", "onnx::MatMul_6993")
GATES = [0, 2, 3, 1]          # ONNX orders i o f c, PyTorch i f c o
BIAS_SEARCH = 6               # nodes between a product and the sum with its bias


def module_name(node_name):
    """ONNX scope -> module name of the PyTorch model."""
    scope = SUFFIX.sub("", node_name).replace("/decoder/decoder/", "decoder.").replace("/encoder/", "", 1)
    scope = re.sub(r"(cnn\.\d|asr_res)/\1", r"\1", scope).replace("/", ".")
    return "predictor." + scope if re.match(r"(F0|N)(\.\d|_proj)|shared", scope) else scope


def reorder_gates(array):
    return array.reshape(4, -1, *array.shape[1:])[GATES].reshape(array.shape)


class Conversion:
    """Walks the graph once and collects tensors in `out`."""

    def __init__(self, graph):
        self.graph, self.out = graph, {}
        self.values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.maker = {output: node for node in graph.node for output in node.output}
        self.users = {}
        for node in graph.node:
            for value in node.input:
                self.users.setdefault(value, []).append(node)

    def put(self, name, values, scale, zero=0):
        """One tensor; quantised ones are centred and get their scale beside them."""
        if values.dtype in (numpy.uint8, numpy.int8):
            values = values.astype(numpy.int32) - int(numpy.unique(zero).item())
            if numpy.abs(values).max() >= 128:
                raise ValueError(f"{name}: a centred weight does not fit int8")
            values = values.astype(numpy.int8)
            scales = numpy.asarray(scale, numpy.float32).reshape(-1)
            if scales.size not in (1, values.shape[0]):
                raise ValueError(f"{name}: {scales.size} scales for {values.shape[0]} rows")
            self.out[name + "|scale"] = scales
        if name in self.out and not numpy.array_equal(self.out[name], values):
            raise ValueError(f"{name} occurs with two different values")
        self.out[name] = numpy.ascontiguousarray(values)

    def bias_of(self, node):
        """The bias that the node's output is added to, or None."""
        front = list(node.output)
        for _ in range(BIAS_SEARCH):
            if not front:
                break
            for user in self.users.get(front[0], []):
                if user.op_type in ("Add", "FastGelu"):
                    for value in user.input:
                        while value in self.maker and self.maker[value].op_type in ("Reshape", "Cast", "Floor", "Div"):
                            value = self.maker[value].input[0]
                        if value in self.values and self.values[value].ndim == 1:
                            return value
            front = [output for user in self.users.get(front[0], [])
                     if user.op_type in ("Cast", "Mul") for output in user.output]
        return None

    def quantised(self, node, name, transposed):
        """An integer product or convolution, and its bias."""
        weight = node.input[1]
        zero = self.values[node.input[3]] if len(node.input) > 3 and node.input[3] in self.values else 0
        values = self.values[weight].T if transposed else self.values[weight]
        self.put(name + ".weight", values, self.values[weight.replace("_quantized", "_scale")], zero)
        bias = self.bias_of(node)
        if bias is not None:
            self.out[name + ".bias"] = self.values[bias]

    def convolution(self, node, name):
        weight = self.values[node.input[1]]
        self.out[name + ".weight"] = weight.astype(numpy.float16 if weight.size > 10**5 else numpy.float32)
        self.out[name + ".bias"] = self.values[node.input[2]]

    def lstm(self, node, name):
        weight, recurrent, bias = (self.values[value] for value in node.input[1:4])
        scale, zero, recurrent_scale, recurrent_zero = (self.values[value] for value in node.input[8:12])
        for direction, suffix in enumerate(("", "_reverse")):
            self.put(f"{name}.weight_ih_l0{suffix}", reorder_gates(weight[direction].T), scale[direction], zero)
            self.put(f"{name}.weight_hh_l0{suffix}", reorder_gates(recurrent[direction].T),
                     recurrent_scale[direction], recurrent_zero)
            first, second = numpy.split(bias[direction], 2)
            self.out[f"{name}.bias_ih_l0{suffix}"] = reorder_gates(first)
            self.out[f"{name}.bias_hh_l0{suffix}"] = reorder_gates(second)

    def run(self):
        for node in self.graph.node:
            name = module_name(node.name)
            if node.op_type == "MatMulInteger":
                if "albert" in name:                     # twelve layers, one set of weights
                    name = re.sub(r"_\d+$", "", name)
                self.quantised(node, name, transposed=True)
            elif node.op_type == "ConvInteger":
                self.quantised(node, name, transposed=False)
            elif (node.op_type in ("Conv", "ConvTranspose") and node.input[1] in self.values
                  and "istft" not in node.name):
                self.convolution(node, name)
            elif node.op_type == "DynamicQuantizeLSTM":
                self.lstm(node, name)
        for key, values in self.values.items():          # what has its own name in the export
            name = re.sub(r"^(decoder|encoder)\.", "", key)
            if key.endswith("_quantized") and "embedding" in key:
                self.put(name[:-10], values, self.values[key.replace("_quantized", "_scale")])
            elif NAMED.search(key):
                self.out[name] = values
        self.out[LINEAR_SOURCE[0]] = self.values[LINEAR_SOURCE[1]].T
        return {key: numpy.ascontiguousarray(values) for key, values in self.out.items()}


def convert(model_path, prefix):
    """Writes PREFIX-1.safetensors and PREFIX-2.safetensors, about half of the bytes each."""
    tensors = Conversion(onnx.load(model_path).graph).run()
    half = sum(values.nbytes for values in tensors.values()) / 2
    files = ({}, {})
    for name in sorted(tensors):
        files[sum(values.nbytes for values in files[0].values()) >= half][name] = tensors[name]
    for number, part in enumerate(files, 1):
        save_file(part, f"{prefix}-{number}.safetensors")
    print(f"{prefix}: {len(tensors)} tensors")
