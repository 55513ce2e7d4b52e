#include "bench/step_limit.h"

#include <algorithm>
#include <cstdint>

namespace captiond {
namespace {

// Of one weight on a GPU; int4 has a bf16 scale for 32 of them.
double bytes_of(WeightFormat format) {
  if (format == WeightFormat::kBf16) return 2.0;
  return format == WeightFormat::kInt4 ? 0.5 + 2.0 / 32 : 1.0;
}

}  // namespace

StepLimit::StepLimit(const TextConfig& text, const DeviceRates& rates, WeightFormat format,
                     double key_value_bytes)
    : text_(text),
      rates_(rates),
      adds_per_s_(format == WeightFormat::kFp8 ? rates.fp8_multiply_adds_per_s
                                               : rates.multiply_adds_per_s),
      weight_bytes_(bytes_of(format)),
      key_value_bytes_(key_value_bytes) {
  for (const LayerType type : text.layer_types) {
    const AttentionConfig& attention = text.attention(type);
    const std::int64_t projections =
        text.heads + attention.kv_heads + (attention.value_is_key ? 0 : attention.kv_heads);
    body_ += static_cast<double>(text.hidden_size) *
             static_cast<double>((projections + text.heads) * attention.head_dim +
                                 3 * text.intermediate_size);
  }
  head_ = static_cast<double>(text.vocab_size * text.hidden_size);
}

double StepLimit::decode_seconds(std::size_t contexts, std::size_t length) const {
  const double weights = body_ + head_;
  const auto rows = static_cast<double>(contexts);
  const double products =
      std::max(weight_bytes_ * weights / rates_.read_bytes_per_s, rows * weights / adds_per_s_);
  return products + rows * keys_seconds(length);
}

double StepLimit::prefill_seconds(std::size_t length) const {
  return std::max(weight_bytes_ * body_ / rates_.read_bytes_per_s,
                  rows_seconds(static_cast<double>(length), 0, 0));
}

double StepLimit::rows_seconds(double rows, double before, double outputs) const {
  return (rows * body_ + outputs * head_) / adds_per_s_ +
         attention_adds(rows, before) / rates_.multiply_adds_per_s;
}

double StepLimit::keys_seconds(std::size_t length) const {
  return bytes_seen(length) / rates_.read_bytes_per_s;
}

double StepLimit::seen(LayerType type, double length) const {
  return type == LayerType::kSliding ? std::min(length, static_cast<double>(text_.sliding_window))
                                     : length;
}

double StepLimit::bytes_seen(std::size_t length) const {
  double bytes = 0;
  for (const LayerType type : text_.layer_types) {
    const AttentionConfig& attention = text_.attention(type);
    bytes += seen(type, static_cast<double>(length)) * 2 * key_value_bytes_ *
             static_cast<double>(attention.kv_heads * attention.head_dim);
  }
  return bytes;
}

double StepLimit::attention_adds(double rows, double before) const {
  // Rows 0 … n - 1 of a context see a triangle of keys, as far as the window reaches.
  const auto triangle = [&](LayerType type, double n) {
    const double whole = seen(type, n);
    return whole * (n - whole / 2);
  };
  double adds = 0;
  for (const LayerType type : text_.layer_types) {
    const double keys = triangle(type, before + rows) - triangle(type, before);
    adds += keys * 2 * static_cast<double>(text_.heads * text_.attention(type).head_dim);
  }
  return adds;
}

}  // namespace captiond
