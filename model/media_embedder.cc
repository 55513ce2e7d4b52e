#include "model/media_embedder.h"

#include <ATen/ATen.h>
#include <optional>
#include <string>
#include <utility>

#include "model/reference_norm.h"

namespace captiond {
namespace {

using at::Tensor;

// Of the embedder's LayerNorms: transformers leaves torch's default.
constexpr double kLayerNormEps = 1e-5;
// Of a pixel byte, as transformers' image processor has it.
constexpr double kPixelScale = 0.00392156862745098;

struct LayerNorm {
  Tensor weight;
  Tensor bias;

  Tensor apply(const Tensor& x) const {
    return at::layer_norm(x, {weight.size(0)}, weight, bias, kLayerNormEps);
  }
};

struct Vision {
  LayerNorm patch_norm1;
  Projection dense;
  Tensor dense_bias;
  LayerNorm patch_norm2;
  Tensor positions;  // [mm_posemb_size, 2 (x, y), mm_embed_dim]
  LayerNorm position_norm;
  Projection projection;
};

Vision read_vision(const WeightReader& reader) {
  const std::string prefix = "model.vision_embedder.";
  const auto layer_norm = [&](const std::string& name) {
    return LayerNorm{.weight = reader.take(prefix + name + ".weight"),
                     .bias = reader.take(prefix + name + ".bias")};
  };
  return {
      .patch_norm1 = layer_norm("patch_ln1"),
      .dense = reader.projection({prefix + "patch_dense.weight"}),
      .dense_bias = reader.take(prefix + "patch_dense.bias"),
      .patch_norm2 = layer_norm("patch_ln2"),
      .positions = reader.take(prefix + "pos_embedding"),
      .position_norm = layer_norm("pos_norm"),
      .projection = reader.projection({"model.embed_vision.embedding_projection.weight"}),
  };
}

}  // namespace

struct MediaEmbedder::Weights {
  c10::TensorOptions options;
  double audio_eps = 0.0;
  double vision_eps = 0.0;
  std::optional<Projection> audio;
  std::optional<Vision> vision;
};

MediaEmbedder::MediaEmbedder(const WeightReader& reader, const c10::TensorOptions& options)
    : weights_([&] {
        const ModelConfig& config = reader.checkpoint().config();
        Weights weights{.options = options, .audio = std::nullopt, .vision = std::nullopt};
        if (config.audio) {
          weights.audio_eps = config.audio->rms_norm_eps;
          weights.audio = reader.projection({"model.embed_audio.embedding_projection.weight"});
        }
        if (config.vision) {
          weights.vision_eps = config.vision->rms_norm_eps;
          weights.vision = read_vision(reader);
        }
        return std::make_unique<const Weights>(std::move(weights));
      }()) {}

MediaEmbedder::~MediaEmbedder() = default;

Tensor MediaEmbedder::embed(const AudioRows& audio, std::int64_t count) const {
  const Tensor samples =
      at::from_blob(const_cast<float*>(audio.samples.data()),
                    {count, std::int64_t{AudioPatches::kSamplesPerPatch}}, at::kFloat);
  const Tensor x = samples.to(weights_->options);
  return weights_->audio->apply(normalised(x, weights_->audio_eps).to(x.scalar_type()));
}

Tensor MediaEmbedder::embed(const PictureRows& picture, std::int64_t count) const {
  const Vision& vision = *weights_->vision;
  const c10::TensorOptions& options = weights_->options;
  const Tensor pixels =
      at::from_blob(const_cast<std::uint8_t*>(picture.pixels.data()),
                    {count, std::int64_t{VisionPatches::kBytesPerPatch}}, at::kByte);
  Tensor x = pixels.to(options.device()).to(at::kFloat).mul_(kPixelScale).to(options);
  x = vision.patch_norm1.apply(x);
  x = vision.dense.apply(x, vision.dense_bias);
  x = vision.patch_norm2.apply(x);
  const auto columns = static_cast<std::int64_t>(picture.columns);
  const Tensor patch =
      at::arange(count, at::kLong).add_(static_cast<std::int64_t>(picture.first_patch));
  const Tensor column = patch.remainder(columns).to(options.device());
  const Tensor row = patch.floor_divide(columns).to(options.device());
  x = x + (vision.positions.select(1, 0).index_select(0, column) +
           vision.positions.select(1, 1).index_select(0, row));
  x = vision.position_norm.apply(x);
  x = normalised(x, weights_->vision_eps).to(options);
  return vision.projection.apply(x);
}

}  // namespace captiond
