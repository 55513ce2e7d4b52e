#pragma once

#include <cstddef>
#include <functional>
#include <future>
#include <memory>
#include <span>

#include "model/engine.h"
#include "model/engine_loop.h"
#include "model/model_config.h"

namespace captiond {

// A context as its owner holds it: checks what is asked for and posts it to the engine's thread.
// Holds the engine, so that weights and thread outlive it.
class ContextHandle final : public Context {
 public:
  // `engine` owns `loop` and `config`.
  ContextHandle(std::shared_ptr<const Engine> engine, std::shared_ptr<EngineLoop> loop,
                std::shared_ptr<Sequence> sequence);
  ~ContextHandle() override;

  void append(std::span<const TokenId> ids) override;
  void append(const AudioPatches& patches) override;
  void append(const VisionPatches& patches) override;
  std::unique_ptr<Context> fork() const override;
  void truncate(std::size_t length) override;
  std::size_t length() const override;
  using Context::generate;
  void generate(GenerateOptions options, GenerationCallback done) override;
  std::future<void> flush() override;

 private:
  void check_room(std::size_t length, std::size_t more) const;
  void check_id(TokenId id, const char* what) const;

  std::shared_ptr<const Engine> engine_;
  std::shared_ptr<EngineLoop> loop_;
  std::shared_ptr<Sequence> sequence_;
};

}  // namespace captiond
