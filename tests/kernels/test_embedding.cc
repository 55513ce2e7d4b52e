#define BOOST_TEST_MODULE embedding
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/kernels/embedding.h"
#include "model/kernels/kv_copy.h"
#include "model/kernels/matrix_products.h"
#include "model/kernels/media_norm.h"
#include "tests/kernels/device_array.h"
#include "tests/support/needs_gpu.h"

BOOST_TEST_GLOBAL_FIXTURE(NeedsGpu);

using namespace captiond::kernels;

namespace {

void expect_near(double got, double want, double limit, std::size_t at) {
  const double error = std::abs(got - want);
  if (!(error <= limit)) {
    BOOST_ERROR("value " << at << ": got " << got << ", want " << want << ", limit " << limit);
  }
}

// x becomes LayerNorm(x), not rounded.
void layer_norm(std::vector<double>& x, const std::vector<__nv_bfloat16>& weight,
                const std::vector<__nv_bfloat16>& bias) {
  double mean = 0;
  for (const double value : x) mean += value / static_cast<double>(x.size());
  double variance = 0;
  for (const double value : x) {
    variance += (value - mean) * (value - mean) / static_cast<double>(x.size());
  }
  const double scale = 1.0 / std::sqrt(variance + 1e-5);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = (x[i] - mean) * scale * wide(weight[i]) + wide(bias[i]);
  }
}

void round_all(std::vector<double>& x) {
  for (double& value : x) value = rounded_bf16(value);
}

}  // namespace

BOOST_AUTO_TEST_CASE(ids_become_scaled_rows_of_the_table) {
  for (const int width : {8, 56, 3840, 8200}) {
    const auto w = static_cast<std::size_t>(width);
    const std::vector<__nv_bfloat16> host = random_bf16(10 * w, 1, 0.05F);
    // 7 is a soft token, the pad is 2; the two last are choices 1 and 2, which is not finite.
    const std::vector<int> ids = {9, -1, 0, 7, 3, -3, -4};
    const std::vector<std::size_t> looked_up = {9, 0, 0, 2, 3, 5, 2};
    const DeviceArray<GreedyChoice> choices(std::vector<GreedyChoice>{
        {.token = 8, .finite = 1}, {.token = 5, .finite = 1}, {.token = -77, .finite = 0}});
    const DeviceArray<__nv_bfloat16> table(host);
    const DeviceArray<int> device_ids(ids);
    const DeviceArray<__nv_bfloat16> y(std::vector<__nv_bfloat16>(7 * w, __float2bfloat16(77.0F)));
    require(embed_tokens({.table = table.data(),
                          .ids = device_ids.data(),
                          .choices = choices.data(),
                          .y = y.data(),
                          .width = width,
                          .scale = 62.0F,
                          .soft_tokens = {-1, 7, 8},
                          .pad_token = 2},
                         static_cast<int>(ids.size()), nullptr));
    const auto got = y.download();
    for (std::size_t row = 0; row < ids.size(); ++row) {
      for (std::size_t i = 0; i < w; ++i) {
        const double want =
            row == 1 ? 77.0 : rounded_bf16(wide(host[looked_up[row] * w + i]) * 62.0);
        BOOST_REQUIRE_EQUAL(wide(got[row * w + i]), want);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(audio_frames_are_normed_by_their_loudness) {
  constexpr std::size_t kWidth = 640;
  std::vector<float> samples(3 * kWidth);
  for (std::size_t i = 0; i < kWidth; ++i) {
    samples[i] = 0.3F * std::sin(static_cast<float>(i));
    samples[kWidth + i] = 1e-4F * std::cos(static_cast<float>(i));  // the eps counts; then silence
  }
  const DeviceArray<float> x(samples);
  const DeviceArray<__nv_bfloat16> y(samples.size());
  require(norm_audio_frames(x.data(), y.data(), 3, kWidth, 1e-6F, nullptr));
  const auto got = y.download();
  for (std::size_t frame = 0; frame < 3; ++frame) {
    double sum = 0;
    for (std::size_t i = 0; i < kWidth; ++i) {
      const double value = rounded_bf16(samples[frame * kWidth + i]);
      sum += value * value / kWidth;
    }
    for (std::size_t i = 0; i < kWidth; ++i) {
      const double want = rounded_bf16(samples[frame * kWidth + i]) / std::sqrt(sum + 1e-6);
      expect_near(wide(got[frame * kWidth + i]), want, 1.01 * kHalfUlp * std::abs(want),
                  frame * kWidth + i);
    }
  }
}

BOOST_AUTO_TEST_CASE(pixels_are_scaled_and_normed) {
  constexpr std::size_t kWidth = 6912;
  std::vector<std::uint8_t> pixels(2 * kWidth);
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    pixels[i] = static_cast<std::uint8_t>((i * 7919 + i / 91) % 256);
  }
  const auto host_weight = random_bf16(kWidth, 1, 0.5F, 1.0F);
  const auto host_bias = random_bf16(kWidth, 2, 0.5F);
  const DeviceArray<std::uint8_t> x(pixels);
  const DeviceArray<__nv_bfloat16> weight(host_weight);
  const DeviceArray<__nv_bfloat16> bias(host_bias);
  const DeviceArray<__nv_bfloat16> y(pixels.size());
  require(norm_pixels(x.data(), {.weight = weight.data(), .bias = bias.data()}, y.data(), 2, kWidth,
                      nullptr));
  const auto got = y.download();
  for (std::size_t patch = 0; patch < 2; ++patch) {
    std::vector<double> row;
    for (std::size_t i = 0; i < kWidth; ++i) {
      row.push_back(rounded_bf16(pixels[patch * kWidth + i] * 0.00392156862745098));
    }
    layer_norm(row, host_weight, host_bias);
    for (std::size_t i = 0; i < kWidth; ++i) {
      expect_near(wide(got[patch * kWidth + i]), row[i], 1.01 * kHalfUlp * std::abs(row[i]) + 1e-6,
                  patch * kWidth + i);
    }
  }
}

BOOST_AUTO_TEST_CASE(patches_get_their_positions) {
  for (const std::size_t width : {48U, 3840U}) {
    const std::vector<int> coordinates = {0, 0, 5, 1, 2, 6};
    const auto host_x = random_bf16(3 * width, 1, 2.0F);
    const auto host_bias = random_bf16(width, 2, 0.5F);
    const auto table = random_bf16(7 * 2 * width, 3, 0.5F);
    const auto weight1 = random_bf16(width, 4, 0.5F, 1.0F);
    const auto bias1 = random_bf16(width, 5, 0.3F);
    const auto weight2 = random_bf16(width, 6, 0.5F, 1.0F);
    const auto bias2 = random_bf16(width, 7, 0.3F);
    const DeviceArray<__nv_bfloat16> x(host_x);
    const DeviceArray<__nv_bfloat16> x_bias(host_bias);
    const DeviceArray<__nv_bfloat16> positions(table);
    const DeviceArray<__nv_bfloat16> norms[4] = {
        DeviceArray<__nv_bfloat16>(weight1), DeviceArray<__nv_bfloat16>(bias1),
        DeviceArray<__nv_bfloat16>(weight2), DeviceArray<__nv_bfloat16>(bias2)};
    const DeviceArray<int> places(coordinates);
    require(add_patch_positions({.x = x.data(),
                                 .x_bias = x_bias.data(),
                                 .patch_norm = {norms[0].data(), norms[1].data()},
                                 .positions = positions.data(),
                                 .coordinates = places.data(),
                                 .position_norm = {norms[2].data(), norms[3].data()},
                                 .y = x.data(),
                                 .width = static_cast<int>(width),
                                 .eps = 1e-6F},
                                3, nullptr));
    const auto got = x.download();
    for (std::size_t patch = 0; patch < 3; ++patch) {
      std::vector<double> row;
      for (std::size_t i = 0; i < width; ++i) {
        row.push_back(wide(host_x[patch * width + i]) + wide(host_bias[i]));
      }
      round_all(row);
      layer_norm(row, weight1, bias1);
      round_all(row);
      const auto across = static_cast<std::size_t>(coordinates[2 * patch]);
      const auto down = static_cast<std::size_t>(coordinates[2 * patch + 1]);
      for (std::size_t i = 0; i < width; ++i) {
        row[i] += rounded_bf16(wide(table[2 * across * width + i]) +
                               wide(table[(2 * down + 1) * width + i]));
      }
      round_all(row);
      layer_norm(row, weight2, bias2);
      round_all(row);
      double sum = 0;
      for (const double value : row) sum += value * value / static_cast<double>(width);
      for (std::size_t i = 0; i < width; ++i) {
        const double want = row[i] / std::sqrt(sum + 1e-6);
        // The reference rounds at the same places, but a value near a tie may fall on the other
        // side: then each later rounding is off by an ulp of what was of size 1 to 4.
        expect_near(wide(got[patch * width + i]), want, kHalfUlp * (4 * std::abs(want) + 4),
                    patch * width + i);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(pages_are_copied_in_order_on_every_layer) {
  constexpr std::size_t kPages = 6;
  constexpr std::size_t kLayers = 3;
  for (const KvFormat format : {KvFormat::kBf16, KvFormat::kFp8}) {
    KvLayer layer = {.base = nullptr, .kv_heads = 2, .head_dim = 24, .format = format};
    const std::size_t page = layer.page_bytes();
    std::vector<unsigned char> want(kLayers * kPages * page);
    std::mt19937 generator(1);
    for (unsigned char& byte : want) byte = static_cast<unsigned char>(generator() % 256);
    const DeviceArray<unsigned char> pool(want);
    // A copy of a copy, and a page that is overwritten after it was copied.
    const std::vector<KvPageCopy> list = {{0, 3}, {-1, 0}, {3, 4}, {5, 0}};
    const DeviceArray<KvPageCopy> copies(list);
    layer.base = pool.data();
    require(copy_kv_pages(layer, kPages * page, kLayers, copies.data(), 4, nullptr));
    for (std::size_t l = 0; l < kLayers; ++l) {
      const auto at = [&](int p) {
        return want.begin() +
               static_cast<std::ptrdiff_t>((l * kPages + static_cast<std::size_t>(p)) * page);
      };
      for (const KvPageCopy& copy : list) {
        if (copy.from >= 0) std::copy_n(at(copy.from), page, at(copy.to));
      }
    }
    BOOST_TEST((pool.download() == want));
    BOOST_TEST(copy_kv_pages(layer, kPages * page, 0, copies.data(), 4, nullptr) ==
               cudaErrorInvalidValue);
  }
}
