#include "tests/kernels/matrix_case.h"

#include <algorithm>
#include <cmath>
#include <thread>
#include <utility>

#include <boost/test/unit_test.hpp>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include "model/kernels/few_rows.h"
#include "model/kernels/pack_matrix.h"

namespace captiond::kernels {
namespace {

const char* name_of(MatrixFormat format) {
  switch (format) {
    case MatrixFormat::kBf16:
      return "bf16";
    case MatrixFormat::kFp8:
      return "fp8";
    case MatrixFormat::kInt8:
      return "int8";
    case MatrixFormat::kInt4:
      return "int4";
  }
  return "?";
}

// Splitmix64: a good hash of the place, so that values can be made in parallel.
std::uint64_t mixed(std::uint64_t place) {
  place += 0x9e3779b97f4a7c15U;
  place = (place ^ (place >> 30)) * 0xbf58476d1ce4e5b9U;
  place = (place ^ (place >> 27)) * 0x94d049bb133111ebU;
  return place ^ (place >> 31);
}

float decoded_e4m3(unsigned code) {
  const int exponent = static_cast<int>(code >> 3 & 15U);
  const auto fraction = static_cast<float>(code & 7U) / 8.0F;
  const float size =
      exponent == 0 ? std::ldexp(fraction, -6) : std::ldexp(1.0F + fraction, exponent - 7);
  return (code & 0x80U) != 0 ? -size : size;
}

// What pack_matrix.h promises, one row at a time.
void quantise_row(MatrixFormat format, const __nv_bfloat16* row, float* worth, std::size_t in) {
  float most = 0;
  for (std::size_t k = 0; k < in; ++k) most = std::max(most, std::fabs(__bfloat162float(row[k])));
  const float largest = format == MatrixFormat::kInt8 ? 127.0F : 448.0F;
  const float scale = most == 0 ? 1.0F : most / largest;
  for (std::size_t k = 0; k < in; ++k) {
    const float value = __bfloat162float(row[k]) / scale;
    const float stored =
        format == MatrixFormat::kInt8
            ? std::nearbyint(value) + 0.0F  // no -0
            : decoded_e4m3(__nv_cvt_float_to_fp8(value, __NV_SATFINITE, __NV_E4M3));
    worth[k] = stored * scale;
  }
}

void quantise_group(const __nv_bfloat16* group, float* worth) {
  float extreme = 0;
  for (int i = 0; i < 32; ++i) {
    const float value = __bfloat162float(group[i]);
    if (std::fabs(value) > std::fabs(extreme)) extreme = value;
  }
  float scale = __bfloat162float(__float2bfloat16(extreme / -8.0F));
  if (scale == 0) scale = 1;
  for (int i = 0; i < 32; ++i) {
    const float whole =
        std::clamp(std::nearbyint(__bfloat162float(group[i]) / scale), -8.0F, 7.0F) + 0.0F;
    worth[i] = whole * scale;
  }
}

// A value of a block of inputs whose shared exponent is `exponent`, as split_input.cuh says.
float split_value(MatrixFormat format, float value, int exponent) {
  const float scaled = std::ldexp(value, 14 - exponent);
  const float kept =
      format == MatrixFormat::kFp8 ? __half2float(__float2half_rn(scaled)) : std::nearbyint(scaled);
  return std::ldexp(kept, exponent - 14);
}

}  // namespace

void in_parallel(std::size_t count, const std::function<void(std::size_t, std::size_t)>& body) {
  const std::size_t threads = std::max(1U, std::thread::hardware_concurrency());
  std::vector<std::jthread> workers;
  for (std::size_t i = 0; i < threads; ++i)
    workers.emplace_back([&, i] { body(count * i / threads, count * (i + 1) / threads); });
}

std::vector<__nv_bfloat16> uniform_bf16(std::size_t count, std::uint64_t seed, float size) {
  std::vector<__nv_bfloat16> values(count);
  in_parallel(count, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const auto bits = static_cast<std::int32_t>(mixed(mixed(seed) + i) >> 32);
      values[i] = __float2bfloat16(size * static_cast<float>(bits) * 0x1p-31F);
    }
  });
  return values;
}

std::vector<float> packed_worth(MatrixFormat format, const std::vector<__nv_bfloat16>& source,
                                int in) {
  std::vector<float> worth(source.size());
  const auto width = static_cast<std::size_t>(in);
  in_parallel(source.size() / width, [&](std::size_t begin, std::size_t end) {
    for (std::size_t row = begin; row < end; ++row) {
      const __nv_bfloat16* values = source.data() + row * width;
      float* target = worth.data() + row * width;
      if (format == MatrixFormat::kBf16)
        for (std::size_t k = 0; k < width; ++k) target[k] = __bfloat162float(values[k]);
      else if (format == MatrixFormat::kInt4)
        for (std::size_t k = 0; k < width; k += 32) quantise_group(values + k, target + k);
      else
        quantise_row(format, values, target, width);
    }
  });
  return worth;
}

MatrixCase::MatrixCase(MatrixFormat format, int out, int in, std::uint64_t seed)
    : MatrixCase(
          format, out, in,
          uniform_bf16(static_cast<std::size_t>(out) * static_cast<std::size_t>(in), seed, 0.1F)) {}

MatrixCase::MatrixCase(MatrixFormat format, int out, int in, std::vector<__nv_bfloat16> given)
    : source(std::move(given)), worth(packed_worth(format, source, in)) {
  const MatrixBytes bytes = matrix_bytes(format, out, in);
  values_ = DeviceArray<char>(bytes.values);
  matrix = {.format = format, .values = values_.data(), .out = out, .in = in};
  if (format == MatrixFormat::kBf16) {
    require(cudaMemcpy(values_.data(), source.data(), bytes.values, cudaMemcpyHostToDevice));
    return;
  }
  scales_ = DeviceArray<char>(bytes.scales);
  matrix.scales = scales_.data();
  const DeviceArray<__nv_bfloat16> on_device(source);
  require(pack_matrix(on_device.data(), matrix, nullptr));
  require(cudaDeviceSynchronize());
}

void MatrixCase::unpack() {
  for (float& value : worth) value = __bfloat162float(__float2bfloat16(value));
}

std::string MatrixCase::name() const {
  return std::string(name_of(matrix.format)) + " [" + std::to_string(matrix.out) + ", " +
         std::to_string(matrix.in) + "]";
}

std::vector<float> input_worth(MatrixFormat format, const std::vector<__nv_bfloat16>& x, int in,
                               int rows) {
  std::vector<float> worth = packed_worth(MatrixFormat::kBf16, x, in);
  if (format == MatrixFormat::kBf16 || rows > kSplitRowsMax) return worth;
  const auto width = static_cast<std::size_t>(in);
  const std::size_t shared = format == MatrixFormat::kInt4 ? 256 : 128;
  for (std::size_t row = 0; row < worth.size(); row += width)
    for (std::size_t k = 0; k < width; k += shared) {
      float* const block = worth.data() + row + k;
      const std::size_t count = std::min(shared, width - k);
      float most = 0x1p-112F;
      for (std::size_t i = 0; i < count; ++i) most = std::max(most, std::fabs(block[i]));
      const int exponent = std::ilogb(most + std::ldexp(1.0F, std::ilogb(most) - 7));
      for (std::size_t i = 0; i < count; ++i) block[i] = split_value(format, block[i], exponent);
    }
  return worth;
}

std::vector<Bounded> exact_product(const MatrixCase& w, const std::vector<__nv_bfloat16>& x,
                                   int rows) {
  return exact_product(w, input_worth(w.matrix.format, x, w.matrix.in, rows), rows);
}

std::vector<Bounded> exact_product(const MatrixCase& w, const std::vector<float>& x, int rows) {
  const auto in = static_cast<std::size_t>(w.matrix.in),
             out = static_cast<std::size_t>(w.matrix.out);
  const auto count = static_cast<std::size_t>(rows);
  std::vector<Bounded> result(count * out);
  in_parallel(out, [&](std::size_t begin, std::size_t end) {
    for (std::size_t o = begin; o < end; ++o)
      for (std::size_t n = 0; n < count; ++n) {
        double sum = 0, magnitude = 0;
        for (std::size_t k = 0; k < in; ++k) {
          const double product =
              static_cast<double>(w.worth[o * in + k]) * static_cast<double>(x[n * in + k]);
          sum += product;
          magnitude += std::fabs(product);
        }
        result[n * out + o] = {sum, magnitude * 0x1p-17};
      }
  });
  return result;
}

bool within(const std::vector<double>& got, const std::vector<Bounded>& want,
            const std::string& what) {
  if (got.size() != want.size()) {
    BOOST_ERROR(what << ": " << got.size() << " values instead of " << want.size());
    return false;
  }
  int off = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::fabs(got[i] - want[i].value) <= want[i].limit) continue;
    if (++off <= 3)
      BOOST_ERROR(what << ": element " << i << " is " << got[i] << ", expected " << want[i].value
                       << " ± " << want[i].limit);
  }
  if (off > 3) BOOST_ERROR(what << ": " << off << " of " << got.size() << " elements are off");
  return off == 0;
}

std::vector<Bounded> rounded_to_bf16(std::vector<Bounded> exact) {
  for (Bounded& element : exact)
    element.limit += kHalfUlp * (std::fabs(element.value) + element.limit);
  return exact;
}

ProductCase::ProductCase(const Matrix& matrix, bool gate_up, int rows_max) {
  const ProductShape shape{
      .format = matrix.format, .out = matrix.out, .in = matrix.in, .gate_up = gate_up};
  memory = DeviceArray<char>(products.plan({&shape, 1}, rows_max));
  workspace = {.data = memory.data(), .bytes = memory.size()};
}

std::vector<__nv_bfloat16> ProductCase::linear(const Matrix& w, const std::vector<__nv_bfloat16>& x,
                                               int rows) {
  const DeviceArray<__nv_bfloat16> in(x);
  const DeviceArray<__nv_bfloat16> y(static_cast<std::size_t>(rows) *
                                     static_cast<std::size_t>(w.out));
  products.linear(w, in.data(), y.data(), rows, workspace, nullptr);
  return y.download();
}

std::vector<float> ProductCase::linear_float(const Matrix& w, const std::vector<__nv_bfloat16>& x,
                                             int rows) {
  const DeviceArray<__nv_bfloat16> in(x);
  const DeviceArray<float> y(static_cast<std::size_t>(rows) * static_cast<std::size_t>(w.out));
  products.linear(w, in.data(), y.data(), rows, workspace, nullptr);
  return y.download();
}

std::vector<__nv_bfloat16> ProductCase::gate_up(const Matrix& w,
                                                const std::vector<__nv_bfloat16>& x, int rows) {
  const DeviceArray<__nv_bfloat16> in(x);
  const DeviceArray<__nv_bfloat16> h(static_cast<std::size_t>(rows) *
                                     static_cast<std::size_t>(w.out / 2));
  products.gate_up(w, in.data(), h.data(), rows, workspace, nullptr);
  return h.download();
}

}  // namespace captiond::kernels
