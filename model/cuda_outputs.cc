#include "model/cuda_outputs.h"

#include <algorithm>

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/bfloat16.h"
#include "model/check.h"
#include "model/kernels/cuda_error.h"
#include "model/kernels/mapped_copy.h"
#include "model/kernels/matrix_products.h"
#include "model/kernels/norm.h"
#include "model/kernels/sample.h"

namespace captiond {
namespace {

constexpr std::size_t kBlockRows = CudaOutputs::kChoicesMax;
// The most rows of a block in which one asks for as much as `output`. Sampled rows are as many as
// one pass over the head's weights serves; logits would fill twice the pinned memory.
constexpr std::size_t kSampledRows = 128;
constexpr std::size_t kLogitRows = 64;
constexpr std::size_t rows_max_of(RowOutput output) {
  if (output == RowOutput::kLogits) return kLogitRows;
  return output == RowOutput::kSampled ? kSampledRows : kBlockRows;
}

// Of the result at `place`, where outputs stand in `order`: its index in the step.
std::size_t index_of(const Step& step, std::span<const std::size_t> order, std::size_t place) {
  const std::size_t heads = step.heads.size();
  return place < heads ? place : heads + order[place - heads];
}

RowOutput output_of(const Step& step, std::span<const std::size_t> order, std::size_t place) {
  const std::size_t heads = step.heads.size();
  return place < heads ? step.heads[place].output : step.outputs[order[place - heads]].output;
}

kernels::Draw draw_at(const Step& step, std::span<const std::size_t> order, std::size_t place) {
  const std::size_t heads = step.heads.size();
  return place < heads ? step.heads[place].draw : step.outputs[order[place - heads]].draw;
}

void fetch_bytes(const PinnedMemory& to, const std::byte* from, std::size_t bytes,
                 cudaStream_t stream) {
  kernels::check_cuda(cudaMemcpyAsync(to.data(), from, bytes, cudaMemcpyDeviceToHost, stream),
                      "Fetching a step's results");
}

DeviceMemory bits_of(const std::vector<TokenId>& ids, std::int64_t vocabulary) {
  std::vector<std::uint32_t> bits(static_cast<std::size_t>(vocabulary + 31) / 32, 0);
  for (const TokenId id : ids) {
    bits[static_cast<std::size_t>(id) / 32] |= 1U << (static_cast<std::size_t>(id) % 32);
  }
  const std::size_t bytes = bits.size() * sizeof(bits[0]);
  DeviceMemory memory(bytes, "the suppressed tokens");
  kernels::check_cuda(cudaMemcpy(memory.data(), bits.data(), bytes, cudaMemcpyHostToDevice),
                      "Sending the suppressed tokens");
  return memory;
}

}  // namespace

CudaOutputs::CudaOutputs(const Checkpoint& checkpoint, const CudaWeights& weights)
    : text_(checkpoint.config().text),
      weights_(weights),
      row_(static_cast<std::size_t>(text_.hidden_size)),
      suppressed_bits_(
          bits_of(checkpoint.generation_config().suppressed_token_ids, text_.vocab_size)) {
  head_ = std::make_unique<kernels::Head>(
      kernels::Head{.embedding = weights.head(),
                    .softcap = static_cast<float>(text_.final_logit_softcapping.value_or(0.0)),
                    .suppressed = suppressed_bits_.as<std::uint32_t>()});
  constexpr const char* kPurpose = "the results of a step";
  const auto normal =
      kBlockRows * static_cast<std::size_t>(text_.hidden_size) * sizeof(__nv_bfloat16);
  const auto row = static_cast<std::size_t>(text_.vocab_size) * sizeof(float);
  normal_ = DeviceMemory(normal, kPurpose);
  choices_ = DeviceMemory(kBlockRows * sizeof(kernels::GreedyChoice), kPurpose);
  draws_ = DeviceMemory(kBlockRows * sizeof(kernels::Draw), kPurpose);
  logits_ = DeviceMemory(kSampledRows * row, kPurpose);
  host_heads_ = PinnedMemory(normal, kPurpose);
  host_normal_ = PinnedMemory(normal, kPurpose);
  for (PinnedMemory& choices : host_choices_) choices = PinnedMemory(choices_.bytes(), kPurpose);
  for (PinnedMemory& draws : host_draws_) draws = PinnedMemory(draws_.bytes(), kPurpose);
  host_logits_ = PinnedMemory(kLogitRows * row, kPurpose);
}

CudaOutputs::~CudaOutputs() = default;

void CudaOutputs::hand_over(const Step& step, const Source& source, const CudaProducts& products,
                            CudaClock& clock, const RowSink& sink) {
  const std::size_t total = step.heads.size() + step.outputs.size();
  for (std::size_t first = 0; first < total;) {
    const Block block = block_at(step, source.order, first);
    compute(step, source, block, products);
    fetch(block, products);
    clock.end(products.stream());
    products.synchronize();
    hand_over(step, source, block, sink);
    first += block.count;
  }
}

CudaOutputs::Block CudaOutputs::block_at(const Step& step, std::span<const std::size_t> order,
                                         std::size_t first) {
  Block block{.first = first};
  const std::size_t total = step.heads.size() + step.outputs.size();
  for (std::size_t i = first; i < total; ++i) {
    const RowOutput output = output_of(step, order, i);
    const RowOutput most = std::max(block.most, output);
    if (block.count >= rows_max_of(most)) break;  // this row begins a block of its own
    block.most = most;
    ++block.count;
    if (output != RowOutput::kHidden) block.chosen = block.count;
  }
  return block;
}

void CudaOutputs::compute(const Step& step, const Source& source, const Block& block,
                          const CudaProducts& products) {
  const auto width = static_cast<std::size_t>(text_.hidden_size);
  auto* normal = normal_.as<__nv_bfloat16>();
  const std::size_t heads =
      std::min(block.count, step.heads.size() - std::min(step.heads.size(), block.first));
  auto* value = host_heads_.as<std::uint16_t>();
  for (std::size_t i = 0; i < heads; ++i) {
    value = std::transform(step.heads[block.first + i].hidden.begin(),
                           step.heads[block.first + i].hidden.end(), value, bfloat16_of);
  }
  if (heads > 0) {
    kernels::check_cuda(
        cudaMemcpyAsync(normal, host_heads_.data(), heads * width * sizeof(__nv_bfloat16),
                        cudaMemcpyHostToDevice, products.stream()),
        "Sending hidden states");
  }
  if (block.count > heads) {
    const kernels::RmsNorm norm{
        .x = source.hidden,
        .weight = weights_.norm(),
        .rows = source.output_rows + (block.first + heads - step.heads.size()),
        .y = normal + heads * width,
        .width = static_cast<int>(width),
        .eps = static_cast<float>(text_.rms_norm_eps)};
    kernels::check_cuda(
        kernels::rms_norm(norm, static_cast<int>(block.count - heads), products.stream()),
        "The launch of rms_norm");
  }
  auto* const choices = choices_.as<kernels::GreedyChoice>() + block.at;
  if (block.most == RowOutput::kGreedy) {
    products.head_greedy(*head_, normal, choices, block.chosen);
  } else if (block.most > RowOutput::kGreedy) {
    products.head_logits(*head_, normal, logits_.as<float>(), block.chosen);
    sample(step, source, block, products);
  }
}

// Greedy rows are drawn as well: a second pass over the head's weights would cost more.
void CudaOutputs::sample(const Step& step, const Source& source, const Block& block,
                         const CudaProducts& products) {
  auto* const host = host_draws_.at(block.turn).as<kernels::Draw>() + block.at;
  for (std::size_t i = 0; i < block.chosen; ++i) {
    host[i] = draw_at(step, source.order, block.first + i);
  }
  auto* const draws = draws_.as<kernels::Draw>() + block.at;
  kernels::check_cuda(cudaMemcpyAsync(draws, host, block.chosen * sizeof(kernels::Draw),
                                      cudaMemcpyHostToDevice, products.stream()),
                      "Sending draws");
  const kernels::Sample work{.logits = logits_.as<float>(),
                             .vocabulary = static_cast<int>(text_.vocab_size),
                             .suppressed = head_->suppressed,
                             .draws = draws,
                             .choices = choices_.as<kernels::GreedyChoice>() + block.at};
  kernels::check_cuda(kernels::sample(work, static_cast<int>(block.chosen), products.stream()),
                      "The launch of sample");
}

void CudaOutputs::fetch(const Block& block, const CudaProducts& products) {
  const auto width = static_cast<std::size_t>(text_.hidden_size);
  const std::size_t row = width * sizeof(__nv_bfloat16);
  const cudaStream_t stream = products.stream();
  if (block.count > block.chosen) {
    fetch_bytes(host_normal_, normal_.data() + block.chosen * row,
                (block.count - block.chosen) * row, stream);
  }
  if (block.chosen > 0) {
    fetch_bytes(host_choices_[0], choices_.data(), block.chosen * sizeof(kernels::GreedyChoice),
                stream);
  }
  if (block.most == RowOutput::kLogits) {
    const auto vocabulary = static_cast<std::size_t>(text_.vocab_size);
    fetch_bytes(host_logits_, logits_.data(), block.chosen * vocabulary * sizeof(float), stream);
  }
}

void CudaOutputs::hand_over(const Step& step, const Source& source, const Block& block,
                            const RowSink& sink) {
  const auto vocabulary = static_cast<std::size_t>(text_.vocab_size);
  const auto* normal = host_normal_.as<std::uint16_t>();
  for (std::size_t i = 0; i < block.count; ++i) {
    RowResult result;
    const RowOutput output = output_of(step, source.order, block.first + i);
    if (output == RowOutput::kHidden) {
      std::transform(normal, normal + row_.size(), row_.begin(), float_of_bfloat16);
      normal += row_.size();
      result.hidden = row_;
    } else {
      const kernels::GreedyChoice choice = host_choices_[0].as<kernels::GreedyChoice>()[i];
      result.finite = choice.finite != 0;
      result.choice = choice.token;
    }
    if (output == RowOutput::kLogits) {
      result.logits = {host_logits_.as<float>() + i * vocabulary, vocabulary};
    }
    sink(index_of(step, source.order, block.first + i), result);
  }
}

void CudaOutputs::begin_choices(const Step& step, const Source& source,
                                const CudaProducts& products, std::size_t turn) {
  const std::size_t count = step.outputs.size();
  check(step.heads.empty() && count <= kChoicesMax,
        "a step in two parts has few rows, and no heads");
  for (std::size_t first = 0; first < count;) {
    Block block = block_at(step, source.order, first);
    check(block.chosen == block.count && block.most < RowOutput::kLogits,
          "a step in two parts asks for choices alone");
    block.at = block.first;
    block.turn = turn;
    compute(step, source, block, products);
    first += block.count;
  }
  if (count == 0) return;
  kernels::check_cuda(
      kernels::hand_to_host(host_choices_.at(turn).data(), choices_.data(),
                            count * sizeof(kernels::GreedyChoice), products.stream()),
      "The launch of hand_to_host");
}

void CudaOutputs::hand_over_choices(std::size_t turn, std::size_t count,
                                    const RowSink& sink) const {
  const auto* choices = host_choices_.at(turn).as<kernels::GreedyChoice>();
  for (std::size_t i = 0; i < count; ++i) {
    sink(
        i,
        {.hidden = {}, .finite = choices[i].finite != 0, .choice = choices[i].token, .logits = {}});
  }
}

std::size_t CudaOutputs::device_bytes() const {
  return suppressed_bits_.bytes() + normal_.bytes() + choices_.bytes() + draws_.bytes() +
         logits_.bytes();
}

}  // namespace captiond
