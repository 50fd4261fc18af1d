#include <algorithm>
#include <cstdio>

#include "tests/bench/report.h"

namespace podshim::bench {
namespace {

constexpr int kWidth = 1080, kLabel = 400, kBars = 430, kRow = 38, kHead = 40, kMargin = 20, kBar = 13;
constexpr const char *kOurs = "#1b7f5c", *kPeer = "#b8bcc4", *kText = "#20242c", *kDim = "#6b7280", *kBad = "#b3261e";

std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
  return out;
}

std::string text_at(double x, double y, const char* color, const char* more, const std::string& text) {
  char tag[160];
  std::snprintf(tag, sizeof tag, "<text x=\"%.1f\" y=\"%.1f\" fill=\"%s\" %s>", x, y, color, more);
  return tag + escaped(text) + "</text>\n";
}

std::string bar_at(double x, double y, double width, const char* color, const std::string& label) {
  char tag[160];
  width = std::max(width, 1.5);
  std::snprintf(tag, sizeof tag, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"2\" fill=\"%s\"/>\n", x,
                y, width, kBar, color);
  return tag + text_at(x + width + 5, y + kBar - 2.5, kDim, "font-size=\"11\"", label);
}

// The longer bar is the full width: bars compare within a row, not between rows.
std::string draw(const Row& row, double y) {
  double most = 0;
  for (const auto& f : {row.ours, row.peer})
    if (f) most = std::max(most, f->median);
  auto scaled = [&](const Figure& f) { return most > 0 ? f.median / most * (kBars - 90) : 0; };
  auto label = [&](const Figure& f) { return number(f.median) + " " + row.unit; };
  auto out = text_at(kLabel - 12, y + 19, kText, "font-size=\"12.5\" text-anchor=\"end\"", row.operation);
  if (row.ours) out += bar_at(kLabel, y + 3, scaled(*row.ours), kOurs, label(*row.ours));
  if (row.peer) out += bar_at(kLabel, y + 3 + kBar + 2, scaled(*row.peer), kPeer, label(*row.peer));
  const double right = kLabel + kBars + 55;
  if (auto ratio = row.ratio())
    out += text_at(right, y + 22, row.meets(row.bar).value_or(true) ? kText : kBad,
                   "font-size=\"15\" font-weight=\"bold\" text-anchor=\"end\"", number(*ratio) + "x");
  if (row.bar || row.budget) {
    auto bar = target_text(row, row.bar), budget = target_text(row, row.budget);
    bool missed = !row.meets(row.bar).value_or(true);
    if (!bar.empty())
      out += text_at(right + 14, y + 15, missed ? kBad : kDim, "font-size=\"11\"",
                     "bar " + bar + (missed ? " missed" : ""));
    if (!budget.empty()) out += text_at(right + 14, y + 29, kDim, "font-size=\"11\"", "budget " + budget);
  }
  return out;
}

}  // namespace

std::string as_svg(const std::vector<Table>& tables, const std::vector<std::string>& notes) {
  std::string body;
  double y = kMargin + 14;
  body +=
      text_at(kMargin, y, kText, "font-size=\"17\" font-weight=\"bold\"", "podshim beside its peers: medians, one run");
  body += bar_at(kWidth - 90, kMargin, 24, kOurs, "ours") + bar_at(kWidth - 90, kMargin + kBar + 3, 24, kPeer, "peer");
  for (const auto& note : notes) body += text_at(kMargin, y += 17, kDim, "font-size=\"11\"", note);
  y += 6;
  for (const auto& table : tables) {
    body += text_at(kMargin, y + 27, kText, "font-size=\"14\" font-weight=\"bold\"", table.heading);
    y += kHead;
    for (const auto& row : table.rows) {
      body += draw(row, y);
      y += kRow;
    }
  }
  char head[256];
  std::snprintf(
      head, sizeof head,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" viewBox=\"0 0 %d %.0f\" "
      "font-family=\"DejaVu Sans, Verdana, sans-serif\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
      kWidth, y + kMargin, kWidth, y + kMargin);
  return head + body + "</svg>\n";
}

}  // namespace podshim::bench
