#pragma once

#include <map>
#include <string>

#include "model/dtype.h"
#include "model/engine.h"

namespace captiond {

// How programs spell the choices of EngineOptions on their command lines.
const std::map<std::string, Device>& device_names();
const std::map<std::string, Dtype>& dtype_names();
const std::map<std::string, WeightFormat>& weight_format_names();
const std::map<std::string, KvFormat>& kv_format_names();

}  // namespace captiond
