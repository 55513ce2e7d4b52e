#pragma once

#include <cstddef>

#include "bench/device_rates.h"
#include "model/engine.h"
#include "model/model_config.h"

namespace captiond {

// What a step costs at least on a device of the rates measured: the weights read once, or the
// multiply-adds of its rows, and the keys and values that decode rows read.
class StepLimit {
 public:
  // On a GPU products of weights in fp8 take fp8 activations and are measured by that rate, the
  // others by bfloat16's. `key_value_bytes` of one stored value. `text` outlives the object.
  StepLimit(const TextConfig& text, const DeviceRates& rates, WeightFormat format,
            double key_value_bytes);

  // `contexts` rows that each see `length` keys, with the head.
  double decode_seconds(std::size_t contexts, std::size_t length) const;

  // One prompt of `length`, without the head.
  double prefill_seconds(std::size_t length) const;

  // Multiply-adds of `rows` rows behind `before` others, and of the head for `outputs` of them,
  // at the device's rate; the weights are not read for them alone.
  double rows_seconds(double rows, double before, double outputs) const;
  // The keys and values that one decode row behind `length` positions reads.
  double keys_seconds(std::size_t length) const;

 private:
  double seen(LayerType type, double length) const;
  double bytes_seen(std::size_t length) const;
  double attention_adds(double rows, double before) const;

  const TextConfig& text_;
  const DeviceRates rates_;
  const double adds_per_s_;  // of the layers' products
  const double weight_bytes_;
  const double key_value_bytes_;
  double body_ = 0;  // weights of all layers
  double head_ = 0;
};

}  // namespace captiond
