#include <exception>
#include <future>
#include <memory>
#include <utility>

#include "model/engine.h"

namespace captiond {

std::future<Generation> Context::generate(GenerateOptions options) {
  auto promise = std::make_shared<std::promise<Generation>>();
  std::future<Generation> future = promise->get_future();
  generate(std::move(options), [promise](Generation generation, std::exception_ptr error) {
    if (error) {
      promise->set_exception(std::move(error));
    } else {
      promise->set_value(std::move(generation));
    }
  });
  return future;
}

}  // namespace captiond
