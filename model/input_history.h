#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "model/audio_patches.h"
#include "model/step.h"
#include "model/token.h"
#include "model/vision_patches.h"

namespace captiond {

// What stands at the positions of one sequence, as far as a single position may have to be computed
// again: after truncate() the logits of the new last position are asked for, and they were not
// kept. Audio is shared with forks; of a picture the last patch is kept, since a sequence never
// ends inside one. Engine thread only.
class InputHistory {
 public:
  void append_ids(std::span<const TokenId> ids);
  // Patches first … first + count - 1 of `patches`.
  void append_audio(std::shared_ptr<const AudioPatches> patches, std::size_t first,
                    std::size_t count);
  void append_picture(const VisionPatches& picture);

  std::size_t length() const { return ids_.size(); }

  // Forgets positions >= length, which must not lie inside a picture.
  void truncate(std::size_t length);

  // Forgets the samples of audio positions before `position`; they are not asked for again.
  void release_before(std::size_t position);

  // The last position as a slice of one row (its pages are left empty). length() > 0.
  StepSlice last_row() const;

  // The picture that has positions on both sides of `length`; nullopt: none.
  struct Block {
    std::size_t first = 0;
    std::size_t end = 0;
  };
  std::optional<Block> block_across(std::size_t length) const;

  // The first position of the earliest picture that ends behind `position`; nullopt: none.
  std::optional<std::size_t> first_of_block_ending_after(std::size_t position) const;

 private:
  struct Audio {
    std::size_t first = 0;  // position of the first of `count` patches
    std::size_t count = 0;
    std::size_t patch = 0;  // its index in `patches`
    std::shared_ptr<const AudioPatches> patches;
  };
  struct Picture {
    Block block;
    std::size_t columns = 0;
    std::vector<std::uint8_t> last_patch;
  };

  std::vector<TokenId> ids_;  // one a position; kNotAnId for audio and pictures
  std::deque<Audio> audio_;   // ascending
  std::deque<Picture> pictures_;
};

}  // namespace captiond
