#include "pipeline/nearest_name.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace captiond {
namespace {

constexpr std::size_t kLengthMax = 64;

// More names than these are no help in one sentence.
constexpr std::size_t kNamesMax = 16;

// Optimal string alignment distance.
std::size_t edits(std::string_view a, std::string_view b) {
  const std::size_t columns = b.size() + 1;
  std::vector<std::size_t> cost((a.size() + 1) * columns);
  const auto at = [&](std::size_t i, std::size_t j) -> std::size_t& {
    return cost[i * columns + j];
  };
  for (std::size_t i = 0; i <= a.size(); ++i) at(i, 0) = i;
  for (std::size_t j = 0; j <= b.size(); ++j) at(0, j) = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = at(i - 1, j - 1) + (a[i - 1] == b[j - 1] ? 0 : 1);
      at(i, j) = std::min({at(i - 1, j) + 1, at(i, j - 1) + 1, replace});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
    }
  }
  return at(a.size(), b.size());
}

}  // namespace

std::string nearest_name(std::string_view wrong, std::span<const std::string> known) {
  if (wrong.size() > kLengthMax) return {};
  std::size_t fewest = std::max<std::size_t>(2, wrong.size() / 2);
  std::string nearest;
  for (const std::string& name : known) {
    const std::size_t distance = edits(wrong, name);
    if (distance >= fewest) continue;
    fewest = distance;
    nearest = name;
  }
  return nearest;
}

std::string suggestion(std::string_view wrong, std::span<const std::string> known) {
  const std::string nearest = nearest_name(wrong, known);
  if (!nearest.empty()) return "; did you mean \"" + nearest + "\"?";
  if (known.size() > kNamesMax) return {};
  std::string text;
  for (const std::string& name : known) text += (text.empty() ? "; known are " : ", ") + name;
  return text;
}

}  // namespace captiond
