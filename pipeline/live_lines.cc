#include "pipeline/live_lines.h"

#include <vector>

#include "pipeline/printable_text.h"

namespace captiond {
namespace {

constexpr std::string_view kDim = "\x1b[2m";
constexpr std::string_view kPlain = "\x1b[0m";
constexpr std::string_view kUpAndClear = "\x1b[1A\x1b[2K";

// One character of a line: where it begins and how many columns it takes.
struct Cell {
  std::size_t begin = 0;
  std::size_t columns = 1;
};

// Scripts from U+1100 on (Hangul, Kana, Han, emoji) mostly take two columns; to count two for one
// that takes one only cuts a line earlier than need be.
std::vector<Cell> cells_of(std::string_view text) {
  std::vector<Cell> cells;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xC0) == 0x80) continue;
    cells.push_back({i, byte >= 0xE1 ? std::size_t{2} : std::size_t{1}});
  }
  return cells;
}

// Bytes to leave out at the front so that the rest takes at most `columns`.
std::size_t bytes_over(std::string_view text, std::size_t columns) {
  const std::vector<Cell> cells = cells_of(text);
  std::size_t used = 0;
  for (auto cell = cells.rbegin(); cell != cells.rend(); ++cell) {
    used += cell->columns;
    if (used > columns) return cell == cells.rbegin() ? text.size() : std::prev(cell)->begin;
  }
  return 0;
}

// Bytes at the front that take at most `columns`.
std::size_t bytes_within(std::string_view text, std::size_t columns) {
  std::size_t used = 0;
  for (const Cell& cell : cells_of(text)) {
    used += cell.columns;
    if (used > columns) return cell.begin;
  }
  return text.size();
}

std::size_t columns_of(std::string_view text) {
  std::size_t columns = 0;
  for (const Cell& cell : cells_of(text)) columns += cell.columns;
  return columns;
}

}  // namespace

LiveLines::LiveLines(std::ostream& out, std::size_t columns) : out_(out), columns_(columns) {}

void LiveLines::keep(std::string_view line) {
  erase();
  out_ << printable(line) << '\n';
  draw();
}

void LiveLines::replace(const std::string& source, const PartialLine& line) {
  if (columns_ == 0) {
    out_ << "~ " << printable(line.label + line.stable + line.rest) << '\n' << std::flush;
    return;
  }
  erase();
  partial_[source] = line;
  draw();
}

void LiveLines::remove(const std::string& source) {
  if (!partial_.contains(source)) return;
  erase();
  partial_.erase(source);
  draw();
}

void LiveLines::erase() {
  for (; drawn_ > 0; --drawn_) out_ << kUpAndClear;
}

void LiveLines::draw() {
  for (const auto& [source, line] : partial_) {
    out_ << fit(line) << '\n';
    ++drawn_;
  }
  out_ << std::flush;
}

// The newest words matter most: a line that is too long loses its beginning.
std::string LiveLines::fit(const PartialLine& line) const {
  const std::string label = printable(line.label);
  std::string stable = printable(line.stable);
  std::string rest = printable(line.rest);
  const std::size_t used = columns_of(label) + 2;  // "…", and the last column stays free
  if (used + 1 >= columns_) return label.substr(0, bytes_within(label, columns_ / 2));
  const std::string all = stable + rest;
  const std::size_t over = bytes_over(all, columns_ - used);
  std::string_view mark;
  if (over > 0) {
    mark = "…";
    rest = rest.substr(over > stable.size() ? over - stable.size() : 0);
    stable = over < stable.size() ? stable.substr(over) : "";
  }
  return label + std::string(mark) + stable + std::string(kDim) + rest + std::string(kPlain);
}

}  // namespace captiond
