#pragma once

#include <cstddef>
#include <map>
#include <ostream>
#include <string>
#include <string_view>

namespace captiond {

// A line that will be replaced: what is certain, then what may still change.
struct PartialLine {
  std::string label;
  std::string stable;
  std::string rest;
};

// Lines that stay, and below them one line a source that is rewritten in place, on a terminal.
// Where lines cannot be rewritten (a pipe, a file) partial lines are written one after the other
// with "~" before them. One owner; text is written as printable().
class LiveLines {
 public:
  // `out` is borrowed. `columns` is the terminal's width, 0 if `out` is none.
  LiveLines(std::ostream& out, std::size_t columns);

  void set_columns(std::size_t columns) { columns_ = columns; }

  // Writes `line` for good, above the partial lines.
  void keep(std::string_view line);

  // Replaces the partial line of `source`, or takes it away.
  void replace(const std::string& source, const PartialLine& line);
  void remove(const std::string& source);

 private:
  void erase();
  void draw();
  std::string fit(const PartialLine& line) const;

  std::ostream& out_;
  std::size_t columns_;
  std::map<std::string, PartialLine> partial_;
  std::size_t drawn_ = 0;  // lines below the kept ones on the screen
};

}  // namespace captiond
