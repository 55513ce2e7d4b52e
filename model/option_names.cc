#include "model/option_names.h"

namespace captiond {

const std::map<std::string, Device>& device_names() {
  static const std::map<std::string, Device> names = {{"cpu", Device::kCpu},
                                                      {"cuda", Device::kCuda}};
  return names;
}

const std::map<std::string, Dtype>& dtype_names() {
  static const std::map<std::string, Dtype> names = {{"float32", Dtype::kFloat32},
                                                     {"bfloat16", Dtype::kBfloat16}};
  return names;
}

const std::map<std::string, WeightFormat>& weight_format_names() {
  static const std::map<std::string, WeightFormat> names = {{"bf16", WeightFormat::kBf16},
                                                            {"fp8", WeightFormat::kFp8},
                                                            {"int8", WeightFormat::kInt8},
                                                            {"int4", WeightFormat::kInt4}};
  return names;
}

const std::map<std::string, KvFormat>& kv_format_names() {
  static const std::map<std::string, KvFormat> names = {{"bf16", KvFormat::kBf16},
                                                        {"fp8", KvFormat::kFp8}};
  return names;
}

}  // namespace captiond
